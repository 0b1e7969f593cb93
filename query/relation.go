package query

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// analyticsNoun is the noun without a table: its instances are read from the log (ruling 18).
const analyticsNoun = "Event"

// with builds the WITH clause that gives a statement its relations at the scope's instant. What it names stays until done
// is called; done is never nil.
func (d *database) with(ctx context.Context, in scope, relations []relation) (text string, done func(), err error) {
	var releases []func()
	done = func() {
		for _, release := range releases {
			release()
		}
	}
	var b strings.Builder
	for i, r := range relations {
		b.WriteString([]string{"with ", ", "}[min(i, 1)])
		rows, release, err := d.relation(ctx, in, r)
		if err != nil {
			return "", done, err
		}
		if release != nil {
			releases = append(releases, release)
		}
		b.WriteString(r.name() + " as not materialized (" + rows + ")")
	}
	return b.String(), done, nil
}

// relation gives the SELECT of a relation. The sources, cheapest first:
//
//	base              the noun is read often, and its base reaches back to the instant
//	files             nothing of the noun changed behind the published table
//	files and tail    the instant lies at or behind the published table
//	past              otherwise: an earlier instant, deleted rows, or a noun without a table
func (d *database) relation(ctx context.Context, in scope, r relation) (rows string, release func(), err error) {
	if r.versions {
		return d.source(ctx, in, named{r.noun, formHistory})
	}
	table := d.engine.schemas[r.noun.Name]
	changed, err := d.engine.log.LastChange(ctx, in.tenant, r.noun.Name)
	if err != nil {
		return "", nil, err
	}
	upto := min(changed, in.seq) // nothing of the noun lies between
	if upto == 0 {
		return empty(table), nil, nil
	}
	files := in.view.Nouns[r.noun.Name]
	kept := !r.deleted && r.noun.Name != analyticsNoun
	if kept {
		if rows, release, err := d.based(ctx, in, table, upto); rows != "" || err != nil {
			return rows, release, err
		}
	}
	if kept && files.Seq <= in.seq {
		if err := sound(in.view, r.noun.Name); err != nil {
			return "", nil, err
		}
	}
	switch {
	case !kept:
		break
	case changed <= min(files.Seq, in.seq): // the table is the state at both
		return published(table, files), nil, nil
	case files.Seq <= in.seq:
		g, release, err := d.tail(ctx, table, span{files.Seq, upto})
		if err != nil {
			return "", nil, err
		}
		return merged(table, files, g, span{files.Seq, upto}), release, nil
	}
	h, release, err := d.history(ctx, table, upto, true)
	if err != nil {
		return "", nil, err
	}
	return h.state(upto, r.deleted), release, nil
}

// sound refuses files of the published table that are not as they were written.
func sound(view *lakehouse.View, noun string) error {
	err := view.Verify(noun)
	if errors.Is(err, lakehouse.ErrDamaged) {
		p := problem.New(problem.DataDamaged, "a file of the published %s of this tenant is damaged; headlessly verify names it, repair writes it anew", noun)
		p.Type, p.Cause = noun, err
		return p
	}
	return err
}

// empty selects no row, with the table's columns.
func empty(table *schema) string {
	names := make([]string, len(table.columns))
	for i, c := range table.columns {
		names[i] = "cast(null as " + sqlType(c) + ") as " + quoteName(c.Name)
	}
	return "select " + strings.Join(names, ", ") + " where false"
}

// merged selects the rows of the published table that did not change since, and those that did as they are now.
func merged(table *schema, files lakehouse.Files, g *segment, changed span) string {
	latest := versions(g, changed, false)
	if len(files.Data) == 0 {
		return latest
	}
	return "select " + table.list + " from (" + published(table, files) + ") where id not in (select id from " + g.table +
		" where " + changed.sql() + ") union all " + latest
}

// versions selects the latest version of each entity within a span.
func versions(g *segment, within span, deleted bool) string {
	text := "select " + g.schema.list + " from " + g.table + " where _seq in (" + latestSeqs(g.table, within) + ")"
	if !deleted {
		text += " and not " + columnDeleted
	}
	return text
}

// latestSeqs selects the _seq of each entity's last row within a span.
func latestSeqs(table string, within span) string {
	return "select max(_seq) from " + table + " where " + within.sql() + " group by id"
}

// sql is the condition that a row lies within the span.
func (s span) sql() string {
	return "_seq > " + strconv.FormatInt(s.after, 10) + " and _seq <= " + strconv.FormatInt(s.upto, 10)
}
