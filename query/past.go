package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
	"headless.ly/query/engine"
)

// A past is compressed when pastCompress versions were added since it last was; until then each takes about looseBytes. What is
// read from the log at once is at most pastBatch events.
const (
	pastCompress = 100_000
	pastBatch    = 5000
	looseBytes   = 400
	minPacked    = 16
)

// past is every version of one noun of one tenant, decoded from the log, with the interval in which it held: by seq and by time.
//
// Reading an instant must not cost more the longer the history is. So the versions lie in parts. Each part begins at a
// checkpoint, with the state there, and goes on with every version up to the next: an instant is read from one part, by two
// comparisons, as from a base. A part ends when it has EngineConfig.CheckpointRows superseded versions, and half as many as
// current ones.
//
// Every version with its final interval lies in one more table, closed, once it was superseded before the last part began; the
// others lie in the last part.
type past struct {
	holding
	schema *schema
	name   string // of the attached database
	closed versionRows
	parts  []part
	fed    int64
	loose  int64 // versions added since it was compressed
	packed int64 // bytes when it was
	held   int64 // by all tables of the database then
}

// part is the versions that were current at some seq from floor on, up to the next part's floor.
type part struct {
	versionRows
	floor int64
}

// history is every version of a noun up to a seq, in SQL.
type history interface {
	// state selects the entities at a seq, perhaps the deleted ones too.
	state(upto int64, deleted bool) string
	// all selects every version up to a seq with the interval in which it held.
	all(upto int64) string
	// at selects the entities as they were at the parameter ts, and not behind a seq.
	at(upto int64) string
}

// reading is a past as it stood when a statement was planned: what is added behind fed it does not see.
type reading struct {
	schema *schema
	closed string
	parts  []reach
}

// reach is a part of a reading.
type reach struct {
	table string
	floor int64
}

func (p *past) reading() reading {
	r := reading{schema: p.schema, closed: p.closed.table(), parts: make([]reach, len(p.parts))}
	for i := range p.parts {
		r.parts[i] = reach{p.parts[i].table(), p.parts[i].floor}
	}
	return r
}

func (r reading) state(upto int64, deleted bool) string {
	of := r.parts[0].table
	for _, p := range r.parts {
		if p.floor <= upto {
			of = p.table
		}
	}
	text := "select " + r.schema.list + " from " + of + " where " + stateAt(upto)
	if !deleted {
		text += " and not " + columnDeleted
	}
	return text
}

func (r reading) all(upto int64) string {
	columns := r.schema.list + ", " + columnFrom + ", case when " + columnUntil + " <= " + number(upto) + " then " + columnTo + " end as " + columnTo +
		", " + columnDeleted + ", _verb, _actor, _event"
	return r.versions(columns, "_seq <= "+number(upto))
}

func (r reading) at(upto int64) string {
	const ts = "cast(ts as timestamptz)"
	return r.versions(r.schema.list, "_seq <= "+number(upto)+" and not "+columnDeleted+" and "+columnFrom+" <= "+ts+
		" and ("+columnUntil+" > "+number(upto)+" or "+columnTo+" > "+ts+")")
}

// versions selects from every version, each once.
func (r reading) versions(columns, where string) string {
	last := r.parts[len(r.parts)-1]
	rest := "select " + columns + " from " + last.table + " where " + where
	if len(r.parts) == 1 {
		return rest
	}
	return "select " + columns + " from " + r.closed + " where " + columnUntil + " <= " + number(last.floor) + " and " + where + " union all " + rest
}

// archive is the place of a noun's past in a database. One caller at a time feeds it.
type archive struct {
	turn          // its holder may touch what follows
	past    *past // nil: none
	tooLong bool  // beyond the limits: it is read anew each time
	retry   time.Time
}

func (d *database) archive(table *schema) *archive {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.archives[table]
	if !ok {
		if d.archives == nil {
			d.archives = map[*schema]*archive{}
		}
		a = &archive{turn: newTurn()}
		d.archives[table] = a
	}
	return a
}

// history gives every version of the noun's entities up to a seq; if latest will do, perhaps of each the latest at that seq
// only.
func (d *database) history(ctx context.Context, table *schema, upto int64, latest bool) (history, func(), error) {
	h, release, err := d.archived(ctx, table, upto)
	if h != nil || err != nil {
		return h, release, err
	}
	g, release, err := d.private(ctx, feedKey{table: table, history: true}, span{0, upto}, latest)
	return g, release, err
}

// archived gives a noun's past, fed up to a seq; nil if it is not held.
func (d *database) archived(ctx context.Context, table *schema, upto int64) (history, func(), error) {
	a := d.archive(table)
	if err := a.wait(ctx); err != nil {
		return nil, nil, err
	}
	defer a.done()
	if a.tooLong || time.Now().Before(a.retry) {
		return nil, nil, nil
	}
	release, held := func() {}, false
	if a.past != nil {
		release, held = d.hold(&a.past.lease)
	}
	if !held { // none, or evicted
		p, err := d.beginPast(ctx, table)
		if err != nil {
			return nil, nil, err
		}
		a.past = p
		release, _ = d.hold(&p.lease) // nobody else knows it
		d.engine.bases.add(d, &p.holding)
	}
	err := d.feedPast(ctx, a.past, upto)
	d.engine.bases.resize(&a.past.holding, a.past.size())
	switch {
	case err == nil:
		return a.past.reading(), release, nil
	case errors.Is(err, errEnough):
		a.tooLong = true
	case !errors.Is(err, errPast): // what was fed stays
		release()
		return nil, nil, err
	}
	d.engine.bases.forget(&a.past.holding)
	if !a.tooLong {
		d.engine.bases.failed()
	}
	d.doom(&a.past.lease)
	release()
	a.past, a.retry = nil, time.Now().Add(retryLoad)
	return nil, nil, nil
}

// errPast is the error of a past whose content is unknown.
var errPast = errors.New("feed past")

// size is what the past takes, and the places of its versions.
func (p *past) size() int64 {
	return p.packed + p.loose*looseBytes + int64(len(p.parts[len(p.parts)-1].places))*placeBytes
}

// beginPast makes an empty past.
func (d *database) beginPast(ctx context.Context, table *schema) (*past, error) {
	p := &past{schema: table, name: "past " + number(d.engine.tables.Add(1))}
	p.holding = holding{past: true, lease: lease{drop: d.detach(p.name)}}
	p.closed = versionRows{database: p.name, name: "closed", whole: true}
	p.parts = []part{{versionRows: versionRows{database: p.name, name: "part 0", whole: true}}}
	var columns []string
	for _, c := range slices.Concat(table.columns, versionColumns, []lakehouse.Column{
		{Name: columnDeleted, Type: lakehouse.Boolean}, {Name: columnUntil, Type: lakehouse.Long}, {Name: columnTo, Type: lakehouse.Timestamp},
	}) {
		columns = append(columns, quoteName(c.Name)+" "+sqlType(c))
	}
	err := d.use(ctx, func(conn *engine.Conn) error {
		err := run(ctx, conn, "attach ':memory:' as "+quoteName(p.name)+" (compress)", createTable(p.closed.table(), columns),
			createTable(p.parts[0].table(), columns))
		if err == nil {
			p.held, err = heldBytes(ctx, conn)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make past of %s: %w", table.name, err), p.lease.drop())
	}
	return p, nil
}

// feedPast feeds a past up to a seq: errEnough if it becomes larger than it may, errPast if it is of no use any more. After other
// errors what was fed stays, and the next caller goes on.
func (d *database) feedPast(ctx context.Context, p *past, upto int64) error {
	if p.fed >= upto {
		return nil
	}
	leave, err := admit(ctx, d.engine.feeding, d.engine.cfg.QueueTimeout)
	if err != nil {
		return err
	}
	defer leave()
	cfg := d.engine.cfg
	for p.fed < upto {
		changes, next, err := d.changes(ctx, p.schema, span{p.fed, upto}, min(pastBatch, cfg.CheckpointRows), func(e *lakehouse.Event) ([]any, error) {
			return versionRow(p.schema, e)
		})
		if err != nil {
			return err
		}
		if err := d.use(ctx, func(conn *engine.Conn) error {
			return p.take(context.WithoutCancel(ctx), conn, changes, cfg.CheckpointRows)
		}); err != nil {
			if ctx.Err() != nil && !errors.Is(err, errPast) {
				return ctx.Err()
			}
			if _, gone := errors.AsType[*problem.Problem](err); gone {
				return err
			}
			return fmt.Errorf("%w of %s: %w", errPast, p.schema.name, err)
		}
		p.fed = next
		if p.versions() > int64(cfg.MaxHistoryRows) || p.size() > int64(cfg.BaseMB)<<20 {
			return errEnough
		}
	}
	return nil
}

// versions is how many there are.
func (p *past) versions() int64 { return p.closed.rows + p.parts[len(p.parts)-1].rows }

// take adds changes, behind a new checkpoint if the last part is long enough.
func (p *past) take(ctx context.Context, conn *engine.Conn, changes []change, checkpoint int) error {
	if len(changes) == 0 {
		return nil
	}
	if last := &p.parts[len(p.parts)-1]; last.superseded >= max(int64(checkpoint), (last.rows-last.superseded)/2) {
		if err := p.checkpoint(ctx, conn); err != nil {
			return fmt.Errorf("%w: %w", errPast, err)
		}
	}
	if err := p.parts[len(p.parts)-1].change(ctx, conn, changes); err != nil {
		return fmt.Errorf("%w: %w", errPast, err)
	}
	p.loose += int64(len(changes))
	if p.loose >= pastCompress {
		return p.compress(ctx, conn)
	}
	return nil
}

// checkpoint begins another part at fed.
func (p *past) checkpoint(ctx context.Context, conn *engine.Conn) error {
	last := &p.parts[len(p.parts)-1]
	next := part{floor: p.fed, versionRows: versionRows{database: p.name, name: "part " + number(int64(len(p.parts))), whole: true}}
	live := " from " + last.table() + " where " + columnUntil + " = " + number(current)
	err := run(ctx, conn, "insert into "+p.closed.table()+" select * from "+last.table()+" where "+columnUntil+" < "+number(current),
		"create table "+next.table()+" as select *"+live+" order by id")
	if err != nil {
		return err
	}
	count, err := readAll(ctx, conn, "select count(*) from "+next.table())
	if err != nil {
		return err
	}
	next.rows, _ = count[0][0].(int64)
	p.closed.rows += last.rows - next.rows
	last.places = nil
	p.parts = append(p.parts, next)
	return p.compress(ctx, conn)
}

// compress compresses what was added, and measures it: by what all tables of the database take more than the last time. What
// came or went beside it is measured too; it takes minPacked a version at least.
func (p *past) compress(ctx context.Context, conn *engine.Conn) error {
	if err := conn.Exec(ctx, "checkpoint "+quoteName(p.name)); err != nil {
		return err
	}
	held, err := heldBytes(ctx, conn)
	if err != nil {
		return err
	}
	p.packed = max(p.packed+held-p.held, p.versions()*minPacked)
	p.held, p.loose = held, 0
	return nil
}

func createTable(name string, columns []string) string {
	return "create table " + name + " (" + strings.Join(columns, ", ") + ")"
}

// run runs statements on a connection, one after the other.
func run(ctx context.Context, conn *engine.Conn, statements ...string) error {
	for _, text := range statements {
		if err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// versionRow is an event in the columns of a noun's history.
func versionRow(table *schema, e *lakehouse.Event) ([]any, error) {
	values, err := lakehouse.Row(table.noun, e)
	return append(values, time.UnixMilli(e.Timestamp), e.Verb, textOrNull(e.Actor), e.ID, e.Verb == "delete"), err
}
