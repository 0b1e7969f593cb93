package query

import (
	"strconv"
	"strings"

	"headless.ly/lakehouse"
)

// statement writes the aggregate as SQL:
//
//	select * from (select k0 …, v0 … from noun r0 left join … where filter group by …) where having order by … limit …
//
// A series reads every version with its interval, joined with the instants it covers; what it follows through relationships
// is read at the same instant.
func (p *aggregatePlan) statement() *statement {
	s := &statement{}
	c := &compiler{statement: s, now: p.now}
	from := &statement{}
	row := p.from(c, from)
	j := joiner{from: from, root: row, at: c.at, aliases: map[string]string{}}
	rows := make([]string, 0, len(p.groups)+len(p.metrics))
	for _, o := range p.outputs() {
		rows = append(rows, j.row(o.path.hops))
	}
	s.relations, s.aliases = from.relations, from.aliases
	s.write(" select ")
	p.shown(s)
	s.write(" from (select ")
	if c.at != "" {
		s.write(c.at, " as ", quoteName(atName), ", ")
	}
	for i, o := range p.outputs() {
		if i > 0 {
			s.write(", ")
		}
		if i < len(p.groups) {
			c.group(o, rows[i])
		} else {
			c.metric(o, rows[i], row)
		}
		s.write(" as ", o.column.Name)
	}
	s.write(" from ", from.text.String(), " where ")
	c.filter(p.table, p.filter, row)
	p.groupBy(s)
	s.write(") o where ")
	c.condition(p.having, "o")
	p.orderBy(s)
	s.write(" limit ")
	s.bind(p.limit + 1)
	return s
}

// from writes what rows are taken from and gives the alias of the noun's.
func (p *aggregatePlan) from(c *compiler, from *statement) (row string) {
	if len(p.instants) == 0 {
		return from.from(relation{noun: p.table.noun})
	}
	from.write("(select unnest([")
	for i, t := range p.instants {
		if i > 0 {
			from.write(", ")
		}
		from.write("timestamptz ", quoteText(t.Format("2006-01-02 15:04:05.999999Z")))
	}
	from.write("]) as ", quoteName(atName), ") i join ")
	c.at = "i." + quoteName(atName)
	row = from.from(relation{noun: p.table.noun, versions: true})
	from.write(" on not ", row, ".", columnDeleted, " and ", interval(row, c.at))
	return row
}

// shown writes the columns of a result; what is wider than 64 bits as text.
func (p *aggregatePlan) shown(s *statement) {
	var columns []string
	if len(p.instants) > 0 {
		columns = append(columns, quoteName(atName))
	}
	for _, o := range p.outputs() {
		name := o.column.Name
		if o.column.Type == lakehouse.Decimal || o.column.Type == lakehouse.Long && o.metric.Op == "$sum" {
			name = "cast(" + name + " as varchar)"
		}
		columns = append(columns, name)
	}
	s.write(strings.Join(columns, ", "))
}

// groupBy groups by the first columns: the instant and the groups.
func (p *aggregatePlan) groupBy(s *statement) {
	keys := len(p.groups) + min(len(p.instants), 1)
	for i := range keys {
		s.write([]string{" group by ", ", "}[min(i, 1)], strconv.Itoa(i+1))
	}
}

func (p *aggregatePlan) orderBy(s *statement) {
	for i, o := range p.order {
		s.write([]string{" order by ", ", "}[min(i, 1)], "o.", quoteName(o.column))
		if o.descend {
			s.write(" desc")
		}
		s.write(" nulls last")
	}
}

// joiner adds the rows that paths lead to, each once.
type joiner struct {
	from    *statement
	root    string
	at      string // of a series
	aliases map[string]string
}

// row gives the alias of the row at the end of forward relationships.
func (j *joiner) row(hops []hop) string {
	row, name := j.root, ""
	for _, h := range hops {
		name += "." + h.relationship.Name
		next, known := j.aliases[name]
		if !known {
			j.from.write(" left join ")
			next = j.from.from(relation{noun: h.target, versions: j.at != ""})
			j.from.write(" on ", row, ".", quoteName(h.relationship.Name), " = ", next, ".", columnID)
			if j.at != "" {
				j.from.write(" and not ", next, ".", columnDeleted, " and ", interval(next, j.at))
			}
			j.aliases[name] = next
		}
		row = next
	}
	return row
}

// interval is the condition that a version held at an instant.
func interval(row, at string) string {
	return row + "." + columnFrom + " <= " + at + " and (" + row + "._validTo is null or " + at + " < " + row + "._validTo)"
}

// scalar writes a value of a row.
func (c *compiler) scalar(at leaf, row string) {
	v := value{leaf: at, row: row}
	switch at.kind {
	case leafColumn:
		c.write(v.sql())
	case leafJSON:
		c.jsonText(v)
	case leafType:
		c.write(quoteText(at.text))
	default:
		c.write("cast(null as varchar)")
	}
}

// group writes the value that a group shares.
func (c *compiler) group(o output, row string) {
	switch {
	case o.bucket == "":
		c.scalar(o.path.leaf, row)
	case o.column.Type == lakehouse.Date:
		c.write("cast(date_trunc(", quoteText(o.bucket), ", ")
		c.local(o, row)
		c.write(") as date)")
	default: // the local time, truncated, then back by the offset that the instant itself has: an hour that comes twice is two
		c.write("timezone('UTC', date_trunc(", quoteText(o.bucket), ", ")
		c.local(o, row)
		c.write(") - (")
		c.local(o, row)
		c.write(" - timezone('UTC', ")
		c.scalar(o.path.leaf, row)
		c.write(")))")
	}
}

// local writes a time as clocks of the bucket's zone show it; a date is what it is.
func (c *compiler) local(o output, row string) {
	if o.path.leaf.column.Type == lakehouse.Date {
		c.scalar(o.path.leaf, row)
		return
	}
	c.write("timezone(cast(")
	c.bind(o.zone.String())
	c.write(" as varchar), ")
	c.scalar(o.path.leaf, row)
	c.write(")")
}

// metric writes a metric over the rows of a group.
func (c *compiler) metric(o output, row, root string) {
	switch o.metric.Op {
	case "$count":
		if o.metric.Field == "" {
			c.write("count(*)")
			return
		}
		c.call("count(", o, row, ")")
	case "$countDistinct":
		c.call("count(distinct ", o, row, ")")
	case "$sum":
		c.numeric("sum(", o, row, ")")
	case "$avg":
		c.numeric("avg(cast(", o, row, " as double))")
	case "$min":
		c.call("min(", o, row, ")")
	case "$max":
		c.call("max(", o, row, ")")
	case "$median":
		c.numeric("quantile_cont(cast(", o, row, " as double), 0.5)")
	case "$quantile":
		c.numeric("quantile_cont(cast(", o, row, " as double), ")
		c.write(strconv.FormatFloat(o.metric.Quantile, 'f', -1, 64), ")") // a number that was checked; DuckDB wants a constant
	case "$first", "$last":
		order := root + "._createdAt, " + root + "." + columnID
		c.call(o.metric.Op[1:]+"(", o, row, " order by "+order+")")
	}
}

func (c *compiler) call(before string, o output, row, after string) {
	c.write(before)
	c.scalar(o.path.leaf, row)
	c.write(after)
}

// numeric is call with an undeclared value as the number it may be.
func (c *compiler) numeric(before string, o output, row, after string) {
	if o.path.leaf.kind == leafJSON {
		c.call(before+"try_cast(", o, row, " as double)"+after)
		return
	}
	c.call(before, o, row, after)
}
