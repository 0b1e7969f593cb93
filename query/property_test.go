package query

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

var (
	propertySeed = flag.Uint64("property.seed", 0, "seed of TestProperty; 0: by the clock")
	propertyRuns = flag.Int("property.runs", 1, "worlds that TestProperty makes")
)

// TestProperty compares lists with the oracle: random documents written and deleted in random order, published now and
// then, and random filters and sorts read now, strongly, with the deleted ones, and as of random instants.
func TestProperty(t *testing.T) {
	seed := *propertySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for run := range *propertyRuns {
		t.Run(fmt.Sprintf("seed=%d", seed+uint64(run)), func(t *testing.T) { checkProperty(t, seed+uint64(run)) })
	}
}

func checkProperty(t *testing.T, seed uint64) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	w := newWorld(t, func(c *Config) {
		if g.IntN(2) == 0 { // with bounds so low that every strategy is used
			c.Engine.MaxTailRows = 20
			c.Engine.MaxHistoryRows, c.Engine.MaxLogRows = 60, 60
		} else {
			c.Engine.CheckpointRows = 1 + g.IntN(20)
		}
	}, func(c *lakehouse.Config) {
		if g.IntN(3) > 0 { // in files with deleted rows
			c.ReplaceRows = -1
		}
	})
	var events []*lakehouse.Event
	for step := range 600 {
		n, id := g.entity()
		past := w.tenant("acme").byTarget[n.Name+"/"+id]
		verb := "create"
		if len(past) > 0 {
			verb = "update"
			if n.Name == analyticsNoun {
				continue
			}
			if last := past[len(past)-1].Verb; last == "delete" {
				verb = "rollback"
			} else if g.IntN(5) == 0 {
				verb = "delete"
			}
		}
		if g.IntN(10) == 0 {
			w.tick(time.Duration(g.IntN(30)) * time.Hour)
		}
		events = append(events, w.put("acme", n, id, verb, g.document(n)))
		if g.IntN(60) == 0 {
			w.publish(t)
		}
		if step%3 == 0 {
			g.compare(t, w, events)
		}
	}
	t.Logf("%d lists, %d of them not empty", g.lists, g.rows)
}

// compare lists once.
func (g *generator) compare(t *testing.T, w *world, events []*lakehouse.Event) {
	n, _ := g.entity()
	filter := object(t, g.filter(n, 0))
	q := Query{Filter: filter}
	text, keys := g.sort(n)
	q.Sort = text
	now := w.memory.now // the clock stands still
	seq := int64(len(events))
	switch g.IntN(5) {
	case 0:
		q.Strong = true
	case 1:
		q.IncludeDeleted = true
	case 2, 3:
		at := events[g.IntN(len(events))]
		q.AsOf = formatTime(at.Timestamp)
		if at.Timestamp < now.UnixMilli() {
			seq = at.Seq
		}
	}
	live := newOracle(events, seq, now, false)
	o := live
	if q.IncludeDeleted {
		all := newOracle(events, seq, now, true)
		o = newOracle(events, seq, now, false)
		o.docs[n.Name] = nil
		want := withDeleted(live, all, n, filter, keys)
		g.same(t, w.allIDs(t, "acme", n, q), want, n, q)
		return
	}
	g.same(t, w.allIDs(t, "acme", n, q), o.list(n, filter, keys), n, q)
	switch g.IntN(6) {
	case 0:
		g.aggregates(t, w, o, n, q)
	case 1:
		g.series(t, w, events, n, filter)
	case 2:
		g.statements(t, w, events, o, n, q, seq)
	}
}

// withDeleted lists deleted rows too, while relationships lead to live ones only.
func withDeleted(live, all *oracle, n *noun.Noun, filter entity.Object, keys []oracleKey) []string {
	f := map[string]any{}
	if filter != nil {
		f = decoded(filter.Append(nil)).(map[string]any)
	}
	root := &oracle{now: live.now, docs: map[string]map[string]map[string]any{n.Name: {}}}
	for id, doc := range all.docs[n.Name] {
		if live.object(n, doc, f) {
			root.docs[n.Name][id] = doc
		}
	}
	var text entity.Object
	if v, ok := filter.Get("$text"); ok {
		text = entity.Object{{Name: "$text", Value: v}}
	}
	return root.list(n, text, keys)
}

func (g *generator) same(t *testing.T, got, want []string, n *noun.Noun, q Query) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s filter %s sort %q asOf %q strong %v deleted %v:\n got %v\nwant %v", n.Name, q.Filter.Append(nil), q.Sort, q.AsOf,
			q.Strong, q.IncludeDeleted, got, want)
	}
	g.lists++
	if len(got) > 0 {
		g.rows++
	}
}

// generator draws documents and filters from small domains, so that they meet.
type generator struct {
	*rand.Rand
	lists, rows int
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

var propertyNouns = []string{"Organization", "Contact", "Deal", "Event", "Customer"}

func (g *generator) entity() (*noun.Noun, string) {
	n := mustNoun(propertyNouns[g.IntN(len(propertyNouns))])
	return n, g.id(n)
}

func (g *generator) id(n *noun.Noun) string {
	count := 12
	if n.Name == analyticsNoun {
		count = 40
	}
	return fmt.Sprintf("%s_prop%02d", n.IDPrefix, g.IntN(count))
}

// document draws a JSON object of declared and undeclared fields.
func (g *generator) document(n *noun.Noun) string {
	var o entity.Object
	for _, c := range n.Columns() {
		if !c.Required && g.IntN(3) == 0 {
			continue
		}
		o.Set(c.Name, []byte(g.declared(n, c)))
	}
	for _, name := range []string{"price", "tags", "a/b~c", "nested"} {
		if g.IntN(2) == 0 {
			o.Set(name, []byte(g.anything()))
		}
	}
	return string(o.Append(nil))
}

func (g *generator) declared(n *noun.Noun, c noun.Column) string {
	if c.Relationship != nil {
		target := mustNoun(c.Relationship.Target)
		return string(entity.Quote(g.id(target)))
	}
	switch c.Kind {
	case noun.Number:
		return g.pick("0", "-1", "2", "2.5", "1e3", "9007199254740993")
	case noun.Boolean:
		return g.pick("true", "false")
	case noun.Date:
		return g.pick(`"2026-02-27"`, `"2026-02-28"`, `"2026-03-01"`, `"2026-03-02"`)
	case noun.Datetime:
		return g.pick(`"2026-02-28T00:00:00.000Z"`, `"2026-03-01T00:00:00.000Z"`, `"2026-03-01T12:30:00.123Z"`, `"2026-03-02T01:00:00+02:00"`)
	case noun.JSON:
		return g.anything()
	case noun.Enum:
		return string(entity.Quote(c.Field.Enum[g.IntN(len(c.Field.Enum))]))
	}
	return g.text()
}

func (g *generator) text() string {
	return g.pick(`"acme"`, `"Acme Corp"`, `"5"`, `""`, `"été"`, `"Zed\nline"`, `"a-b c"`, `"true"`, `"it's"`, `"😀"`, `"acme\u0000"`, `"a\\b\"c"`, `"?"`, `"$1"`)
}

func (g *generator) anything() string {
	return g.pick(g.text(), g.text(), "5", "5.0", "5.5", "-3", "9007199254740993", "9007199254740992", "true", "false", "null",
		`{"a":1}`, `{"a":{"b":"acme"}}`, `{"a":null,"c":[1,"x"]}`, `["acme",5]`, `[]`, `{}`, "1e30", "18446744073709551615")
}

// sort draws a sort and its keys.
func (g *generator) sort(n *noun.Noun) (string, []oracleKey) {
	if g.IntN(3) == 0 {
		return "", nil
	}
	var parts []string
	var keys []oracleKey
	for range 1 + g.IntN(3) {
		name := g.pick("$createdAt", "$updatedAt", "$version", "$id")
		if c := n.Columns()[g.IntN(len(n.Columns()))]; g.IntN(4) > 0 && c.Kind != noun.JSON {
			name = c.Name
		}
		k := oracleKey{name, g.IntN(2) == 0}
		keys = append(keys, k)
		switch {
		case k.desc:
			parts = append(parts, g.pick("-"+name, name+":desc"))
		default:
			parts = append(parts, g.pick(name, name+":asc"))
		}
	}
	return strings.Join(parts, ","), keys
}

// filter draws a filter object.
func (g *generator) filter(n *noun.Noun, depth int) string {
	var o entity.Object
	for range g.IntN(3) + depth/2 {
		switch {
		case depth < 3 && g.IntN(4) == 0:
			parts := make([]string, 1+g.IntN(3))
			for i := range parts {
				parts[i] = g.filter(n, depth+1)
			}
			o.Set(g.pick("$and", "$or"), []byte("["+strings.Join(parts, ",")+"]"))
		default:
			name, c := g.path(n, 0)
			o.Set(name, []byte(g.condition(name, c, 0)))
		}
	}
	if depth == 0 && g.IntN(8) == 0 {
		o.Set("$text", []byte(g.pick(`"ac"`, `"acme co"`, `"b"`, `"zed LINE"`, `"été"`, `""`)))
	}
	return string(o.Append(nil))
}

// path draws a field name, through relationships now and then, and its column if it is declared.
func (g *generator) path(n *noun.Noun, hops int) (string, *noun.Column) {
	if hops < 3 && g.IntN(3) == 0 && len(n.Relationships) > 0 {
		edge := n.Relationships[g.IntN(len(n.Relationships))]
		if !slices.Contains(propertyNouns, edge.Target) {
			return g.path(n, hops)
		}
		if g.IntN(5) == 0 {
			return edge.Name, nil
		}
		rest, c := g.path(mustNoun(edge.Target), hops+1)
		if strings.Count(rest, ".")+hops > 2 && hops == 2 {
			return edge.Name, nil
		}
		return edge.Name + "." + rest, c
	}
	switch g.IntN(4) {
	case 0:
		return g.pick("$id", "$version", "$createdAt", "$updatedAt", "$createdBy", "$type", "id", "version", "createdAt"), nil
	case 1:
		return g.pick("price", "tags", "a/b~c", "nested.a", "nested.a.b", "nested.c.1", "tags.0", "nothing", "name.first"), nil
	}
	c := n.Columns()[g.IntN(len(n.Columns()))]
	if c.Kind == noun.JSON && g.IntN(2) == 0 {
		return c.Name + g.pick(".a", ".a.b", ".c.1"), nil
	}
	return c.Name, &c
}

// operandOf draws an operand: mostly of the column's kind.
func (g *generator) operandOf(c *noun.Column) string {
	if c == nil || g.IntN(6) == 0 {
		return g.pick(g.anything(), `"contact_prop03"`, `"deal_prop05"`, `"organization_prop01"`, "2", "1", `"Contact"`,
			`"2026-03-01T00:00:00Z"`, `"today"`)
	}
	switch c.Kind {
	case noun.Date, noun.Datetime:
		return g.pick(`"2026-02-28"`, `"2026-03-01"`, `"2026-03-01T12:30:00.123Z"`, `"today"`, `"now"`, `"2d ago"`, `"2026-03-01T23:00:00Z"`)
	}
	return g.declared(nil, *c)
}

func (g *generator) condition(name string, c *noun.Column, depth int) string {
	if g.IntN(4) == 0 {
		return g.operandOf(c)
	}
	var o entity.Object
	for range 1 + g.IntN(2) {
		switch op := g.pick("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$regex", "$not"); op {
		case "$in", "$nin":
			list := make([]string, g.IntN(4))
			for i := range list {
				list[i] = g.operandOf(c)
			}
			o.Set(op, []byte("["+strings.Join(list, ",")+"]"))
		case "$exists":
			o.Set(op, []byte(g.pick("true", "false")))
		case "$regex":
			o.Set(op, []byte(g.pick(`"^A"`, `"me$"`, `"a.b"`, `"[0-5]"`, `"é"`, `"."`)))
			if g.IntN(2) == 0 {
				o.Set("$options", []byte(`"i"`))
			}
		case "$not":
			if depth > 2 {
				continue
			}
			inner := g.condition(name, c, depth+1)
			if !strings.HasPrefix(inner, `{"$`) {
				inner = `{"$eq":` + inner + `}`
			}
			o.Set(op, []byte(inner))
		default:
			o.Set(op, []byte(g.operandOf(c)))
		}
	}
	if len(o) == 0 {
		return g.operandOf(c)
	}
	return string(o.Append(nil))
}
