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

// edge is a relationship of one entity whose other ends a list is limited to.
type edge struct {
	noun         *noun.Noun
	key          string
	relationship *noun.Relationship
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
	named, ok := n.Relationship(relationship)
	if !ok {
		p := problem.New(problem.NotFound, "%s has no relationship %q", n.Name, relationship)
		p.Type, p.ID = n.Name, key
		return Page{}, p
	}
	target, _ := r.nouns.Get(named.Target)
	return r.list(ctx, tenant, target, q, &edge{n, key, named})
}

// list gives one page, of the rows at the other end of an edge only if there is one.
func (r *Reader) list(ctx context.Context, tenant string, n *noun.Noun, q Query, from *edge) (Page, error) {
	p, err := r.plan(tenant, n, q, from)
	if err != nil {
		return Page{}, err
	}
	view := r.lake.Pin(tenant) // before the head is read: so the head is at or behind what is published
	defer view.Release()
	at, err := r.fix(ctx, tenant, p.query.Options, p.now)
	if err != nil {
		return Page{}, err
	}
	if from != nil {
		if err := r.restrict(ctx, tenant, p, from, &at); err != nil {
			return Page{}, err
		}
	}
	if err := r.resume(ctx, tenant, p); err != nil {
		return Page{}, err
	}
	in := scope{tenant, view, at.Seq}
	found, err := r.rows(ctx, in, p)
	if err != nil {
		return Page{}, err
	}
	page := Page{Total: found.total, Limit: p.query.Limit, Offset: p.query.Offset, At: at}
	if q.CountOnly {
		return page, nil
	}
	if page.HasMore = len(found.hits) > page.Limit; page.HasMore {
		found.hits = found.hits[:page.Limit]
		last := found.hits[page.Limit-1]
		page.Cursor = r.sealer.seal(cursor{issued: r.now(), now: p.now, score: last.score, seq: last.seq, query: p.hash})
	}
	page.Results, err = r.documents(ctx, in, p.shape, found.hits)
	return page, err
}

// restrict adds to a plan that rows stand at the other end of the edge.
func (r *Reader) restrict(ctx context.Context, tenant string, p *plan, from *edge, at *At) error {
	root, err := r.find(ctx, tenant, from.noun, from.key, at, Options{IncludeDeleted: p.deleted})
	if err != nil {
		return err
	}
	field, value := from.relationship.Via, root.ID
	if from.relationship.Forward {
		doc, err := entity.ParseStored(root.document)
		if err != nil {
			return err
		}
		field, value = "$id", doc.Text(from.relationship.Name)
	}
	parser := &filterParser{resolver: r.resolver, noun: p.noun}
	only, err := parser.object(entity.Object{{Name: field, Value: entity.Quote(value)}}, 1)
	p.filter.where = all{only, p.filter.where}
	return err
}

// documents fetches and shows the entities of hits.
func (r *Reader) documents(ctx context.Context, in scope, s *shape, hits []hit) ([][]byte, error) {
	states := make([]state, len(hits))
	for i, h := range hits {
		states[i].Pointer = lakehouse.Pointer{ID: h.id, Seq: h.seq, Version: h.version}
	}
	if err := r.load(ctx, in.tenant, states); err != nil {
		return nil, err
	}
	return r.render(ctx, in, s, states)
}

// plan checks everything about a query that can be checked without reading.
func (r *Reader) plan(tenant string, n *noun.Noun, q Query, from *edge) (*plan, error) {
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
	parser := &filterParser{resolver: r.resolver, noun: n}
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
	origin := ""
	if from != nil {
		origin = from.noun.Name + "/" + from.key + "/" + from.relationship.Name
	}
	p.hash = queryHash(tenant, n.Name, origin, string(q.Filter.Append(nil)), q.Text, p.order.canonical(), q.AsOf,
		strconv.FormatBool(q.IncludeDeleted))
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
			out.hits = append(out.hits, hit{row[0].(string), row[1].(int64), row[2].(int64), row[3].(int64)})
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
	c.filter(r.schemas[p.noun.Name], p.filter, row)
}

// filter writes the condition that a row passes.
func (c *compiler) filter(table *schema, f filter, row string) {
	c.condition(f.where, row)
	if len(f.terms) > 0 {
		c.write(" and ")
		c.textCondition(table, f.terms, row)
	}
}
