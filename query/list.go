package query

import (
	"context"
	"strconv"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// Limits of a page (interfaces.md 2.4).
const (
	defaultLimit = 25
	maxLimit     = 100
)

// plan is a checked list, before its instant is known.
type plan struct {
	noun    *noun.Noun
	query   Query
	filter  filter
	order   ordering
	shape   *shape
	hash    [hashBytes]byte
	now     time.Time // what relative literals are relative to
	cursor  cursor    // where the page before ended; the zero value: the first page
	after   position  // its sort values
	deleted bool
}

// List gives one page of entities.
func (r *Reader) List(ctx context.Context, tenant string, n *noun.Noun, q Query) (Page, error) {
	return r.list(ctx, tenant, n, q, nil)
}

// Related gives one page of the entities that a relationship of one entity names: for a forward one at most one.
func (r *Reader) Related(ctx context.Context, tenant string, n *noun.Noun, key, relationship string, q Query) (Page, error) {
	if err := checkKey(n, key); err != nil {
		return Page{}, err
	}
	edge, ok := n.Relationship(relationship)
	if !ok {
		p := problem.New(problem.NotFound, "%s has no relationship %q", n.Name, relationship)
		p.Type, p.ID = n.Name, key
		return Page{}, p
	}
	target, _ := r.nouns.Get(edge.Target)
	at, err := r.fix(ctx, tenant, q.Options, r.now())
	if err != nil {
		return Page{}, err
	}
	from, err := r.find(ctx, tenant, n, key, &at, Options{IncludeDeleted: q.IncludeDeleted})
	if err != nil {
		return Page{}, err
	}
	field, value := edge.Via, from.ID
	if edge.Forward {
		doc, err := entity.ParseStored(from.document)
		if err != nil {
			return Page{}, err
		}
		field, value = "$id", doc.Text(edge.Name)
	}
	return r.list(ctx, tenant, target, q, &entity.Member{Name: field, Value: entity.Quote(value)})
}

// list gives one page; within, if not nil, is a further equality that rows have to pass.
func (r *Reader) list(ctx context.Context, tenant string, n *noun.Noun, q Query, within *entity.Member) (Page, error) {
	p, err := r.plan(tenant, n, q, within)
	if err != nil {
		return Page{}, err
	}
	view := r.lake.Pin(tenant) // before the head is read: so the head is at or behind what is published
	defer view.Release()
	at, err := r.fix(ctx, tenant, p.query.Options, p.now)
	if err != nil {
		return Page{}, err
	}
	page := Page{Limit: p.query.Limit, Offset: p.query.Offset, At: at}
	in := scope{tenant, view, at.Seq}
	if err := r.resume(ctx, tenant, p); err != nil {
		return Page{}, err
	}
	found, err := r.rows(ctx, in, p)
	if err != nil || q.CountOnly {
		page.Total = found.total
		return page, err
	}
	page.Total = found.total
	page.HasMore = len(found.hits) > p.query.Limit
	found.hits = found.hits[:min(len(found.hits), p.query.Limit)]
	if page.HasMore {
		last := found.hits[len(found.hits)-1]
		page.Cursor = r.sealer.seal(cursor{issued: r.now(), now: p.now, score: last.score, seq: last.seq, query: p.hash})
	}
	states := make([]state, len(found.hits))
	for i, h := range found.hits {
		states[i].Pointer = lakehouse.Pointer{ID: h.id, Seq: h.seq, Version: h.version}
	}
	if err := r.load(ctx, tenant, states); err != nil {
		return Page{}, err
	}
	page.Results, err = r.render(ctx, in, p.shape, states)
	return page, err
}

// plan checks everything about a query that can be checked without reading.
func (r *Reader) plan(tenant string, n *noun.Noun, q Query, within *entity.Member) (*plan, error) {
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return nil, problem.New(problem.LimitExceeded, "limit is 1 to %d", maxLimit)
	}
	if q.Offset < 0 {
		return nil, invalid("offset", "offset must not be negative")
	}
	if q.Cursor != "" && q.Offset > 0 {
		return nil, problem.New(problem.InvalidCursor, "cursor and offset exclude each other")
	}
	p := &plan{noun: n, query: q, deleted: q.IncludeDeleted, now: r.now()}
	parser := &filterParser{r.resolver, n}
	var err error
	if p.filter, err = parser.parse(q.Filter); err != nil {
		return nil, err
	}
	terms, err := parseText(q.Text)
	if err != nil {
		return nil, err
	}
	p.filter.add(terms)
	if p.order, err = parseSort(r.schemas[n.Name], q.Sort, len(p.filter.terms) > 0); err != nil {
		return nil, err
	}
	if p.shape, err = r.shape(n, q.Options); err != nil {
		return nil, err
	}
	edge := ""
	if within != nil {
		only, err := parser.object(entity.Object{*within}, 1)
		if err != nil {
			return nil, err
		}
		p.filter.where = all{only, p.filter.where}
		edge = within.Name + "=" + string(within.Value)
	}
	p.hash = queryHash(tenant, n.Name, string(q.Filter.Append(nil)), q.Text, edge, p.order.canonical(), q.AsOf, strconv.FormatBool(q.IncludeDeleted))
	return p, r.reopen(p)
}

// reopen checks the cursor of a plan. An id is left for resume.
func (r *Reader) reopen(p *plan) error {
	if p.query.Cursor == "" || noun.IsID(p.query.Cursor) && p.order.standard {
		return nil
	}
	c, err := r.sealer.open(p.query.Cursor, p.hash, p.now)
	if err != nil {
		return err
	}
	p.cursor, p.now = c, c.now
	return nil
}

// resume reads the sort values of the row where the page before ended.
func (r *Reader) resume(ctx context.Context, tenant string, p *plan) error {
	if p.query.Cursor == "" {
		return nil
	}
	unknown := problem.New(problem.InvalidCursor, "the cursor names nothing")
	if p.cursor.seq == 0 {
		last, err := r.log.Lookup(ctx, tenant, p.noun.Name, p.query.Cursor)
		if problem.Is(err, problem.NotFound) {
			return unknown
		}
		if err != nil {
			return err
		}
		p.cursor.seq = last.Seq
	}
	p.after.score = p.cursor.score
	only := lakehouse.Range{After: p.cursor.seq - 1, Upto: p.cursor.seq, Noun: p.noun.Name}
	err := r.log.Read(ctx, tenant, only, func(e *lakehouse.Event) error {
		row, err := lakehouse.Row(p.noun, e)
		if err != nil {
			return err
		}
		for _, k := range p.order.keys {
			p.after.values = append(p.after.values, row[k.place])
		}
		return nil
	})
	if err == nil && p.after.values == nil {
		return unknown
	}
	return err
}

// hit is one row that answers.
type hit struct {
	id      string
	seq     int64
	version int64
	score   int64
}

// found is what a list's statement gives: one row more than the page, if there is one.
type found struct {
	hits  []hit
	total int64
}

// rows finds the rows of a page and counts all that match.
func (r *Reader) rows(ctx context.Context, in scope, p *plan) (found, error) {
	if in.seq == 0 {
		return found{}, nil
	}
	var out found
	if !p.query.CountOnly {
		rows, err := r.engine.query(ctx, in, r.pageStatement(p))
		if err != nil {
			return found{}, err
		}
		for _, row := range rows {
			out.hits = append(out.hits, hit{id: row[0].(string), seq: row[1].(int64), version: row[2].(int64), score: row[3].(int64)})
			out.total = row[4].(int64)
		}
		if len(rows) > 0 || p.query.Cursor == "" && p.query.Offset == 0 {
			return out, nil
		}
	}
	rows, err := r.engine.query(ctx, in, r.countStatement(p))
	if err != nil {
		return found{}, err
	}
	out.total = rows[0][0].(int64)
	return out, nil
}

// pageStatement selects id, seq, version, score and the total. What matches is gathered once, with only the columns that
// order it, and is both counted and sorted; a window over the rows is no faster and a second statement twice as slow.
func (r *Reader) pageStatement(p *plan) *statement {
	s := &statement{}
	s.write(", matched as materialized (select ")
	body := &compiler{statement: s, now: p.now}
	s.write("r0.id, r0._seq, r0._version, ")
	if p.order.relevance {
		body.relevance(r.schemas[p.noun.Name], p.filter.terms, "r0")
	} else {
		s.write("0")
	}
	s.write(" as score")
	p.order.columns(s, "r0")
	r.matching(body, p)
	s.write(") select id, _seq, _version, cast(score as bigint), (select count(*) from matched) from matched")
	if p.query.Cursor != "" {
		s.write(" where ")
		p.order.behind(s, p.after)
	}
	p.order.orderBy(s)
	s.write(" limit ")
	s.bind(p.query.Limit + 1)
	if p.query.Offset > 0 {
		s.write(" offset ")
		s.bind(p.query.Offset)
	}
	return s
}

// countStatement selects the total.
func (r *Reader) countStatement(p *plan) *statement {
	s := &statement{}
	s.write(" select count(*)")
	r.matching(&compiler{statement: s, now: p.now}, p)
	return s
}

// matching writes FROM and WHERE of a list.
func (r *Reader) matching(c *compiler, p *plan) {
	c.write(" from ")
	row := c.from(relation{noun: p.noun, deleted: p.deleted})
	c.write(" where ")
	c.condition(p.filter.where, row)
	if len(p.filter.terms) > 0 {
		c.write(" and ")
		c.textCondition(r.schemas[p.noun.Name], p.filter.terms, row)
	}
}
