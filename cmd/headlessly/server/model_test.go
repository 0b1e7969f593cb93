package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/api"
	"headless.ly/api/imports"
	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

var (
	modelCommands = flag.Int("model.commands", 4000, "commands of TestModel, in all its runs")
	modelLook     = flag.Int("model.look", 10, "commands after which the server is compared with the model")
	modelSeed     = flag.Uint64("model.seed", 0, "the only seed to run, which repeats its run; 0: all")
)

// modelRun is how many commands one run has.
const modelRun = 2000

// TestModel runs random commands against the server and against a plain model, and compares what lists, counts, aggregates,
// series, SQL and single reads say, now and as of random instants, while tables are published, compacted and folded, the log is
// trimmed, and the server is restarted.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		newTrial(t, *modelSeed).run()
		return
	}
	for seed := range uint64((*modelCommands + modelRun - 1) / modelRun) {
		t.Run(fmt.Sprint("seed=", seed+1), func(t *testing.T) {
			t.Parallel()
			newTrial(t, seed+1).run()
		})
	}
}

// trial is one run: a server under a clock of its own, and the model of its one tenant.
type trial struct {
	*testing.T
	random *rand.Rand
	lakes  lakehouse.Config
	engine query.EngineConfig
	keep   time.Duration // events of this age may leave the log
	now    time.Time
	clock  atomic.Int64 // now in ns, for the server

	lake   *lakehouse.Lake
	store  *ingest.Store
	reader *query.Reader
	jobs   *imports.Jobs
	api    *api.Service

	seq    int64
	nouns  map[string]map[string][]state // by noun and id, in order of seq
	stamps []int64                       // of the events
}

// state is an entity behind one of its events.
type state struct {
	seq, at, created int64 // at and created in ms
	version          int
	deleted          bool
	fields           map[string]any
}

// row is an entity that lives at an instant.
type row struct {
	id string
	state
}

func newTrial(t *testing.T, seed uint64) *trial {
	random := rand.New(rand.NewPCG(seed, 9))
	quiet := slog.New(slog.DiscardHandler)
	m := &trial{T: t, random: random, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), nouns: map[string]map[string][]state{"Contact": {}, "Organization": {}}}
	m.lakes = lakehouse.Config{Dir: t.TempDir(), Nouns: noun.Core(), Interval: -1, MaintainEvery: -1, Logger: quiet,
		ReplaceRows: pickOf(random, 0, -1, 40), CompactFiles: pickOf(random, 2, 4), CompactRows: pickOf(random, 0, 100)}
	m.engine = query.EngineConfig{Warehouse: filepath.Join(m.lakes.Dir, "warehouse"), TempDir: filepath.Join(m.lakes.Dir, "tmp"), Logger: quiet,
		MaxTailRows: pickOf(random, 0, 30), MaxHistoryRows: pickOf(random, 0, 200), RebaseRows: pickOf(random, 0, 5),
		CheckpointRows: pickOf(random, 0, 5, 50)}
	m.pass(0)
	m.lakes.Now = func() time.Time { return m.time().AddDate(100, 0, 0) } // no table was made later, so days are tagged as they pass
	m.keep = pickOf(random, time.Minute, 5*time.Hour)
	m.open()
	t.Cleanup(m.close)
	return m
}

// pass lets time pass, for the model and for the server.
func (m *trial) pass(d time.Duration) {
	m.now = m.now.Add(d)
	m.clock.Store(m.now.UnixNano())
}

func (m *trial) time() time.Time { return time.Unix(0, m.clock.Load()).UTC() }

func pickOf[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }

func (m *trial) open() {
	m.Helper()
	ctx, quiet, clock := context.Background(), m.lakes.Logger, m.time
	var err error
	if m.lake, err = lakehouse.Open(ctx, m.lakes); err != nil {
		m.Fatal(err)
	}
	sweep, err := m.lake.Database().OpenTenants(ctx)
	if err != nil {
		m.Fatal(err)
	}
	m.store, err = ingest.Open(ctx, ingest.Config{Dir: m.lakes.Dir, Nouns: m.lakes.Nouns, Registrar: m.lake.Database(), Published: m.lake.Published,
		Clock: clock, Logger: quiet, Older: m.lake, KeepLog: m.keep}, sweep)
	if err != nil {
		m.Fatal(err)
	}
	m.lake.Start(m.store)
	m.reader, err = query.Open(query.Config{Log: m.store, Lake: m.lake, Nouns: m.lakes.Nouns, Clock: clock, Engine: m.engine})
	if err != nil {
		m.Fatal(err)
	}
	m.jobs, err = imports.Open(imports.Config{Dir: m.lakes.Dir, Store: m.store, Nouns: m.lakes.Nouns, Logger: quiet})
	if err != nil {
		m.Fatal(err)
	}
	m.api = api.New(api.Config{Store: m.store, Reader: m.reader, Lake: m.lake, Nouns: m.lakes.Nouns, Imports: m.jobs, Logger: quiet})
}

func (m *trial) close() {
	for _, err := range []error{m.jobs.Close(), m.store.Close(context.Background()), m.reader.Close(), m.lake.Close()} {
		if err != nil {
			m.Error(err)
		}
	}
}

// run runs the commands, and looks now and then.
func (m *trial) run() {
	for i := range modelRun {
		m.command()
		switch n := m.random.IntN(1000); {
		case n < 30:
			m.must(m.lake.Publish(m.Context()))
		case n < 36:
			m.must(m.lake.Maintain(m.Context()))
		case n < 37:
			m.close()
			m.open()
		case n < 47:
			_, err := m.store.Trim(m.Context(), "acme")
			m.must(err)
		}
		if i%*modelLook == *modelLook-1 {
			m.look()
		}
		if i == modelRun-1 {
			if upto := m.store.Status("acme").Trimmed; upto < m.seq/4 {
				m.Errorf("the log was trimmed up to %d of %d", upto, m.seq)
			}
		}
		if m.Failed() {
			m.Fatalf("repeat it with -run 'TestModel$' -model.seed; command %d, seq %d, %+v", i, m.seq, m.engine)
		}
	}
}

func (m *trial) must(err error) {
	m.Helper()
	if err != nil {
		m.Error(err)
	}
}

// do sends a request.
func (m *trial) do(method, path, body string, header ...string) (status int, answer map[string]any, seq int64) {
	m.Helper()
	r := httptest.NewRequestWithContext(m.Context(), method, "http://127.0.0.1:8787/~acme"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.api.ServeHTTP(w, r)
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			m.Errorf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	seq, _ = strconv.ParseInt(w.Header().Get("X-Seq"), 10, 64)
	return w.Code, answer, seq
}

// ask is do of what has to succeed.
func (m *trial) ask(method, path, body string) map[string]any {
	m.Helper()
	status, answer, seq := m.do(method, path, body)
	if status != http.StatusOK || seq != m.seq && !strings.Contains(path+body, "asOf") {
		m.Errorf("%s %s %s: %d at seq %d, want 200 at %d: %v", method, path, body, status, seq, m.seq, answer)
	}
	return answer
}

// wrote notes the next state of an entity.
func (m *trial) wrote(noun, id string, s state) {
	m.seq++
	s.seq = m.seq
	states := m.nouns[noun][id]
	s.version, s.created = len(states)+1, s.at
	if len(states) > 0 {
		s.created = states[0].created
	}
	m.nouns[noun][id] = append(states, s)
	m.stamps = append(m.stamps, s.at)
}

// command runs one command, or an import.
func (m *trial) command() {
	m.pass(time.Duration(pickOf(m.random, 0, 1, 700, 40_000, 600_000)) * time.Millisecond)
	live := m.live("Contact", m.seq)
	switch n := m.random.IntN(20); {
	case n < 1 || len(m.nouns["Organization"]) == 0:
		m.create("Organization", map[string]any{"name": m.word(), "industry": m.industry()})
	case n < 7 || len(live) == 0:
		m.create("Contact", m.contact())
	case n < 8:
		m.imports()
	case n < 16:
		m.update(live[m.random.IntN(len(live))])
	case n < 18:
		r := live[m.random.IntN(len(live))]
		m.change(r, "POST", "/Contact/"+r.id+"/qualify", map[string]any{"title": m.word()}, map[string]any{"stage": "Qualified"})
	case n < 19:
		m.remove("Contact", live)
	default:
		if organizations := m.live("Organization", m.seq); m.random.IntN(4) == 0 && len(organizations) > 1 {
			m.remove("Organization", organizations)
			return
		}
		m.refused(live)
	}
}

func (m *trial) word() string {
	return string(rune('A'+m.random.IntN(6))) + pickOf(m.random, "da", "lan", "xel ½", "'quote'", "\"two\"", "né")
}
func (m *trial) industry() string { return pickOf(m.random, "Retail", "Finance", "Software") }

// contact gives some fields of a contact.
func (m *trial) contact() map[string]any {
	fields := map[string]any{"name": m.word()}
	m.some(fields, "leadScore", float64(m.random.IntN(20)))
	m.some(fields, "department", m.word())
	m.some(fields, "stage", pickOf(m.random, "Lead", "Customer", "Churned"))
	m.some(fields, "shoe", pickOf[any](m.random, float64(m.random.IntN(6)+38), "large", true))
	m.some(fields, "email", fmt.Sprintf("%d@acme.example", m.random.IntN(1<<30)))
	if organizations := m.live("Organization", m.seq); len(organizations) > 0 {
		m.some(fields, "organization", organizations[m.random.IntN(len(organizations))].id)
	}
	return fields
}

func (m *trial) some(fields map[string]any, name string, value any) {
	if m.random.IntN(2) == 0 {
		fields[name] = value
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// stamp is the time of an answer's entity.
func (m *trial) stamp(answer map[string]any) int64 {
	m.Helper()
	updated, _ := answer["$updatedAt"].(string)
	at, err := time.Parse(time.RFC3339Nano, updated)
	m.must(err)
	if at.Before(m.now) || len(m.stamps) > 0 && at.UnixMilli() < m.stamps[len(m.stamps)-1] {
		m.Errorf("written at %s, before the clock's %s or the event before", updated, m.now)
	}
	return at.UnixMilli()
}

func (m *trial) create(noun string, fields map[string]any) {
	status, answer, seq := m.do("POST", "/"+noun, asJSON(fields))
	id, _ := answer["$id"].(string)
	if status != http.StatusCreated || seq != m.seq+1 {
		m.Errorf("create %v: %d at %d: %v", fields, status, seq, answer)
		return
	}
	setDefault(noun, fields)
	m.wrote(noun, id, state{at: m.stamp(answer), fields: fields})
	m.same(answer, row{id, m.last(noun, id)})
}

// setDefault sets the one field of a noun that has a default.
func setDefault(noun string, fields map[string]any) {
	name, value := "stage", "Lead"
	if noun == "Organization" {
		name, value = "type", "Prospect"
	}
	if fields[name] == nil {
		fields[name] = value
	}
}

func (m *trial) imports() {
	var lines strings.Builder
	var all []map[string]any
	for i := range 1 + m.random.IntN(12) {
		fields := m.contact()
		fields["$id"] = fmt.Sprintf("contact_%08d", m.seq+int64(i))
		lines.WriteString(asJSON(fields) + "\n")
		all = append(all, fields)
	}
	status, answer, _ := m.do("POST", "/import/Contact?preserveIds=true", lines.String(), "Content-Type", "application/x-ndjson")
	if status != http.StatusOK || answer["imported"] != float64(len(all)) {
		m.Errorf("import: %d: %v", status, answer)
		return
	}
	for _, fields := range all {
		id, _ := fields["$id"].(string)
		delete(fields, "$id")
		setDefault("Contact", fields)
		_, stored, _ := m.do("GET", "/Contact/"+id, "")
		m.wrote("Contact", id, state{at: m.stamp(stored), fields: fields})
		m.same(stored, row{id, m.last("Contact", id)})
	}
}

func (m *trial) update(r row) {
	fields := m.contact()
	for _, name := range []string{"leadScore", "department", "shoe", "organization"} {
		if m.random.IntN(8) == 0 {
			fields[name] = nil
		}
	}
	delete(fields, pickOf(m.random, "name", "stage"))
	m.change(r, "PUT", "/Contact/"+r.id, fields, nil)
}

// change runs a command that changes a contact's fields, and has effects besides.
func (m *trial) change(r row, method, path string, fields, effects map[string]any) {
	next := maps.Clone(r.fields)
	maps.Copy(next, fields)
	maps.Copy(next, effects)
	maps.DeleteFunc(next, func(_ string, v any) bool { return v == nil })
	status, answer, seq := m.do(method, path, asJSON(fields), "If-Match", fmt.Sprintf("%q", strconv.Itoa(r.version)))
	if status != http.StatusOK || seq != m.seq+1 {
		m.Errorf("%s %s %v: %d at %d: %v", method, path, fields, status, seq, answer)
		return
	}
	m.wrote("Contact", r.id, state{at: m.stamp(answer), fields: next})
	m.same(answer, row{r.id, m.last("Contact", r.id)})
}

func (m *trial) remove(noun string, live []row) {
	r := live[m.random.IntN(len(live))]
	m.pass(time.Millisecond) // its time is not answered, and is the clock's
	status, _, seq := m.do("DELETE", "/"+noun+"/"+r.id, "")
	if status != http.StatusNoContent || seq != m.seq+1 {
		m.Errorf("delete %s: %d at %d", r.id, status, seq)
		return
	}
	m.wrote(noun, r.id, state{at: m.now.UnixMilli(), deleted: true, fields: r.fields})
}

// refused sends what must change nothing.
func (m *trial) refused(live []row) {
	r := live[m.random.IntN(len(live))]
	for want, send := range map[int]func() (int, map[string]any, int64){
		http.StatusNotFound: func() (int, map[string]any, int64) { return m.do("PUT", "/Contact/contact_zzzzzzzz", `{"name":"No"}`) },
		http.StatusPreconditionFailed: func() (int, map[string]any, int64) {
			return m.do("PUT", "/Contact/"+r.id, `{"name":"No"}`, "If-Match", fmt.Sprintf("%q", strconv.Itoa(r.version+1)))
		},
		http.StatusConflict: func() (int, map[string]any, int64) {
			if r.fields["email"] == nil {
				return http.StatusConflict, nil, 0
			}
			return m.do("POST", "/Contact", asJSON(map[string]any{"name": "No", "email": r.fields["email"]}))
		},
		http.StatusBadRequest: func() (int, map[string]any, int64) { return m.do("POST", "/Contact", `{"name":`) },
	} {
		if status, answer, _ := send(); status != want {
			m.Errorf("got %d, want %d: %v", status, want, answer)
		}
	}
}

func (m *trial) last(noun, id string) state {
	states := m.nouns[noun][id]
	return states[len(states)-1]
}

// live gives the entities of a noun that live at a seq, in order of id.
func (m *trial) live(noun string, seq int64) []row {
	var rows []row
	for _, id := range slices.Sorted(maps.Keys(m.nouns[noun])) {
		if s, found := m.at(noun, id, seq); found {
			rows = append(rows, row{id, s})
		}
	}
	return rows
}

func (m *trial) at(noun, id string, seq int64) (s state, found bool) {
	for _, next := range m.nouns[noun][id] {
		if next.seq <= seq {
			s, found = next, !next.deleted
		}
	}
	return s, found
}

// moment is an instant to read at.
type moment struct {
	seq  int64
	asOf string // "" now
}

// moment chooses now, or an instant at or between events.
func (m *trial) moment() moment {
	if m.random.IntN(2) == 0 {
		return moment{seq: m.seq}
	}
	at := m.stamps[m.random.IntN(len(m.stamps))] + int64(m.random.IntN(3)) - 1
	seq := int64(0)
	for i, stamp := range m.stamps {
		if stamp <= at {
			seq = int64(i + 1)
		}
	}
	return moment{seq: seq, asOf: time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z07:00")}
}

// look compares the server with the model, at an instant each.
func (m *trial) look() {
	m.pass(2 * time.Millisecond) // asOf is of the past
	for _, look := range []func(moment){m.lookAtOne, m.lookAtList, m.lookAtAggregate, m.lookAtSQL} {
		look(m.moment())
	}
	if m.random.IntN(5) == 0 {
		m.lookAtSeries()
		m.lookAtHistory()
	}
	m.pass(2 * time.Millisecond)
}

// same compares a document with a row.
func (m *trial) same(got map[string]any, want row) {
	m.Helper()
	fields := maps.Clone(got)
	maps.DeleteFunc(fields, func(name string, _ any) bool { return strings.HasPrefix(name, "$") })
	if got["$id"] != want.id || got["$version"] != float64(want.version) || !reflect.DeepEqual(fields, want.fields) {
		m.Errorf("got %v\nwant %s, version %d, %v", got, want.id, want.version, want.fields)
	}
}

func (m *trial) lookAtOne(at moment) {
	ids := slices.Sorted(maps.Keys(m.nouns["Contact"]))
	id := ids[m.random.IntN(len(ids))]
	path := "/Contact/" + id
	if at.asOf != "" {
		path += "?asOf=" + at.asOf
	}
	want, found := m.at("Contact", id, at.seq)
	status, got, _ := m.do("GET", path, "")
	if !found {
		if status != http.StatusNotFound {
			m.Errorf("GET %s: %d, want 404: %v", path, status, got)
		}
		return
	}
	m.same(got, row{id, want})
}

// predicate is a filter, what it says in Go, and, unless it is empty, in SQL.
type predicate struct {
	filter, sql string
	holds       func(row) bool
}

// predicate makes a filter for rows at a seq.
func (m *trial) predicate(seq int64, depth int) predicate {
	number := float64(m.random.IntN(20))
	switch n := m.random.IntN(9); {
	case n == 0 && depth > 0:
		x, y := m.predicate(seq, depth-1), m.predicate(seq, depth-1)
		p := predicate{filter: `{"$and":[` + x.filter + `,` + y.filter + `]}`, holds: func(r row) bool { return x.holds(r) && y.holds(r) }}
		if x.sql != "" && y.sql != "" {
			p.sql = "(" + x.sql + " and " + y.sql + ")"
		}
		return p
	case n == 1 && depth > 0:
		x, y := m.predicate(seq, depth-1), m.predicate(seq, depth-1)
		p := predicate{filter: `{"$or":[` + x.filter + `,` + y.filter + `]}`, holds: func(r row) bool { return x.holds(r) || y.holds(r) }}
		if x.sql != "" && y.sql != "" {
			p.sql = "(" + x.sql + " or " + y.sql + ")"
		}
		return p
	case n == 2:
		industry := m.industry()
		return predicate{filter: `{"organization.industry":` + asJSON(industry) + `}`, holds: func(r row) bool {
			id, _ := r.fields["organization"].(string)
			s, found := m.at("Organization", id, seq)
			return found && s.fields["industry"] == industry
		}, sql: "organization in (select id from organization where industry = '" + industry + "')"}
	case n == 3:
		stages := []string{"Lead", pickOf(m.random, "Customer", "Qualified")}
		return predicate{filter: `{"stage":{"$in":` + asJSON(stages) + `}}`, sql: "stage in ('" + strings.Join(stages, "','") + "')",
			holds: func(r row) bool { return slices.Contains(stages, fmt.Sprint(r.fields["stage"])) }}
	case n == 4:
		return predicate{filter: `{"department":{"$exists":false}}`, sql: "department is null",
			holds: func(r row) bool { return r.fields["department"] == nil }}
	case n == 5:
		letter := string(rune('A' + m.random.IntN(6)))
		return predicate{filter: `{"name":{"$regex":"^` + letter + `"}}`, sql: "name like '" + letter + "%'",
			holds: func(r row) bool { return strings.HasPrefix(fmt.Sprint(r.fields["name"]), letter) }}
	case n == 6:
		size := float64(m.random.IntN(6) + 38)
		return predicate{filter: fmt.Sprintf(`{"shoe":{"$lte":%v}}`, size), holds: func(r row) bool {
			shoe, is := r.fields["shoe"].(float64)
			return is && shoe <= size
		}}
	case n == 7:
		return predicate{filter: fmt.Sprintf(`{"leadScore":{"$ne":%v}}`, number), sql: fmt.Sprintf("leadScore is distinct from %v", number),
			holds: func(r row) bool { return r.fields["leadScore"] != number }}
	default:
		return predicate{filter: fmt.Sprintf(`{"leadScore":{"$gte":%v}}`, number), sql: fmt.Sprintf("leadScore >= %v", number), holds: func(r row) bool {
			score, is := r.fields["leadScore"].(float64)
			return is && score >= number
		}}
	}
}

// matching gives the contacts at a seq for which a predicate holds.
func (m *trial) matching(seq int64, p predicate) []row {
	return slices.DeleteFunc(m.live("Contact", seq), func(r row) bool { return !p.holds(r) })
}

// order is a sort and how it compares.
type order struct {
	sort    string
	compare func(a, b row) int
}

func (m *trial) order() order {
	score := func(r row) (float64, bool) { n, is := r.fields["leadScore"].(float64); return n, is }
	byScore := func(direction int) func(a, b row) int {
		return func(a, b row) int {
			x, isX := score(a)
			y, isY := score(b)
			switch {
			case isX && isY:
				return direction * cmp.Compare(x, y)
			case isX == isY:
				return 0
			case isX:
				return -1
			}
			return 1
		}
	}
	return pickOf(m.random,
		order{"leadScore", byScore(1)}, order{"-leadScore", byScore(-1)},
		order{"name,-leadScore", func(a, b row) int {
			return cmp.Or(strings.Compare(fmt.Sprint(a.fields["name"]), fmt.Sprint(b.fields["name"])), byScore(-1)(a, b))
		}},
		order{"-$createdAt", func(a, b row) int { return cmp.Compare(b.created, a.created) }},
		order{"$version", func(a, b row) int { return cmp.Compare(a.version, b.version) }},
	)
}

// lookAtList compares a filtered and sorted list, page by page, and its total.
func (m *trial) lookAtList(at moment) {
	p, o := m.predicate(at.seq, 2), m.order()
	want := m.matching(at.seq, p)
	slices.SortStableFunc(want, o.compare) // they were in order of id
	limit := pickOf(m.random, 100, min(100, 1+len(want)/3))
	query := url.Values{"filter": {p.filter}, "sort": {o.sort}, "limit": {strconv.Itoa(limit)}}
	if at.asOf != "" {
		query.Set("asOf", at.asOf)
	}
	var got []any
	for more := true; more && !m.Failed(); {
		answer := m.ask("GET", "/Contact?"+query.Encode(), "")
		if answer["total"] != float64(len(want)) {
			m.Errorf("list %s by %s as of %q: %v in all, want %d", p.filter, o.sort, at.asOf, answer["total"], len(want))
		}
		results, _ := answer["results"].([]any)
		got = append(got, results...)
		more, _ = answer["hasMore"].(bool)
		cursor, _ := answer["cursor"].(string)
		query.Set("cursor", cursor)
	}
	if len(got) != len(want) {
		m.Errorf("list %s by %s as of %q: %d results, want %d", p.filter, o.sort, at.asOf, len(got), len(want))
		return
	}
	for i, document := range got {
		fields, _ := document.(map[string]any)
		m.same(fields, want[i])
	}
}

// group is what an aggregate says of one group.
type group struct{ n, total, most any }

// groups works groups out, by the text of their key.
func groups(rows []row, key string) map[string]group {
	out := map[string]group{}
	for _, r := range rows {
		name := asJSON(r.fields[key])
		g, found := out[name]
		if !found {
			g = group{n: 0.0}
		}
		g.n = g.n.(float64) + 1
		if score, is := r.fields["leadScore"].(float64); is {
			if g.total == nil {
				g.total, g.most = 0.0, score
			}
			g.total, g.most = g.total.(float64)+score, max(g.most.(float64), score)
		}
		out[name] = g
	}
	return out
}

// lookAtAggregate compares groups.
func (m *trial) lookAtAggregate(at moment) {
	p, key := m.predicate(at.seq, 1), pickOf(m.random, "stage", "department", "name")
	body := map[string]any{"filter": json.RawMessage(p.filter), "groupBy": []string{key},
		"metrics": json.RawMessage(`{"n":{"$count":true},"total":{"$sum":"leadScore"},"most":{"$max":"leadScore"}}`)}
	if at.asOf != "" {
		body["asOf"] = at.asOf
	}
	answer := m.ask("POST", "/Contact/aggregate", asJSON(body))
	got := map[string]group{}
	results, _ := answer["results"].([]any)
	for _, result := range results {
		g, _ := result.(map[string]any)
		got[asJSON(g[key])] = group{g["n"], g["total"], g["most"]}
	}
	if want := groups(m.matching(at.seq, p), key); !reflect.DeepEqual(got, want) || len(results) != len(want) {
		m.Errorf("aggregate %s by %s as of %q:\n got %v\nwant %v", p.filter, key, at.asOf, got, want)
	}
}

// lookAtSeries compares the number of contacts as of each hour.
func (m *trial) lookAtSeries() {
	const step = 3 * time.Hour
	from := time.UnixMilli(m.stamps[0]).UTC().Truncate(time.Hour)
	body := asJSON(map[string]any{"every": "3h", "from": from.Format(time.RFC3339), "to": m.now.UTC().Format(time.RFC3339),
		"metrics": json.RawMessage(`{"n":{"$count":true}}`)})
	results, _ := m.ask("POST", "/Contact/aggregate", body)["results"].([]any)
	i := 0
	for at := from; !at.After(m.now.Truncate(time.Second)); at = at.Add(step) {
		seq := int64(0)
		for i, stamp := range m.stamps {
			if stamp <= at.UnixMilli() {
				seq = int64(i + 1)
			}
		}
		if i >= len(results) {
			m.Errorf("series %s: %d results, more are due at %s", body, len(results), at)
			return
		}
		result, _ := results[i].(map[string]any)
		if want := float64(len(m.live("Contact", seq))); result["n"] != want {
			m.Errorf("series at %s: %v, want %v", at, result, want)
		}
		i++
	}
	if i != len(results) {
		m.Errorf("series %s: %d results, want %d", body, len(results), i)
	}
}

// sql gives the rows of a statement.
func (m *trial) sql(statement string, at moment) []any {
	m.Helper()
	body := map[string]any{"sql": statement}
	if at.asOf != "" {
		body["asOf"] = at.asOf
	}
	rows, _ := m.ask("POST", "/sql", asJSON(body))["rows"].([]any)
	return rows
}

func (m *trial) lookAtSQL(at moment) {
	p := m.predicate(at.seq, 2)
	if p.sql == "" {
		return
	}
	from := "contact"
	now := moment{}
	if at.asOf != "" && m.random.IntN(2) == 0 && !strings.Contains(p.sql, "organization") {
		from, at.asOf, now = "contact_at('"+at.asOf+"')", "", moment{asOf: at.asOf}
	}
	statement := "select id, name, stage, leadScore, _version from " + from + " where " + p.sql + " order by id"
	var want []any
	for _, r := range m.matching(at.seq, p) {
		want = append(want, []any{r.id, r.fields["name"], r.fields["stage"], r.fields["leadScore"], float64(r.version)})
	}
	if got := m.sql(statement, at); !reflect.DeepEqual(got, slices.Concat([]any{}, want)) && len(got)+len(want) > 0 {
		m.Errorf("%s as of %q%q:\n got %v\nwant %v", statement, at.asOf, now.asOf, got, want)
	}
}

// lookAtHistory compares the number of versions, and of events.
func (m *trial) lookAtHistory() {
	versions, open := 0, 0
	for _, states := range m.nouns["Contact"] {
		versions += len(states)
		if !states[len(states)-1].deleted {
			open++
		}
	}
	want := []any{[]any{float64(versions), float64(open)}}
	if got := m.sql("select count(*), count(*) filter (_validTo is null and not _deleted) from contact_history", moment{}); !reflect.DeepEqual(got, want) {
		m.Errorf("history: %v, want %v", got, want)
	}
	want = []any{[]any{float64(m.seq), float64(m.seq)}}
	if got := m.sql("select count(*), max(seq) from events", moment{}); !reflect.DeepEqual(got, want) {
		m.Errorf("events: %v, want %v", got, want)
	}
}
