package query

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"headless.ly/query/engine"
)

// source gives the SELECT behind a name of a tenant's statement, at the scope's instant; of a formAt it has one parameter,
// "ts". What it names stays until release, which may be nil.
func (d *database) source(ctx context.Context, in scope, n named) (rows string, release func(), err error) {
	if n.noun == nil {
		return d.log(ctx, in)
	}
	if n.form == formEntities {
		return d.relation(ctx, in, relation{noun: n.noun})
	}
	table := d.engine.schemas[n.noun.Name]
	changed, err := d.engine.log.LastChange(ctx, in.tenant, n.noun.Name)
	if err != nil {
		return "", nil, err
	}
	h, release, err := d.history(ctx, table, min(changed, in.seq), false)
	if err != nil {
		return "", nil, err
	}
	if n.form == formAt {
		return h.at(in.seq), release, nil
	}
	return h.all(in.seq), release, nil
}

// log selects the events up to the scope's seq.
func (d *database) log(ctx context.Context, in scope) (rows string, release func(), err error) {
	g, release, err := d.events(ctx, in.seq)
	if err != nil {
		return "", nil, err
	}
	return "select " + g.schema.list + " from " + g.table + " where seq <= " + number(in.seq), release, nil
}

// define makes what an admitted statement names known to a connection, under the names it uses. What it names stays until
// release.
func (d *database) define(ctx context.Context, conn *engine.Conn, in []scope, tables map[string]named) (release func(), err error) {
	var releases []func()
	release = func() {
		for _, free := range releases {
			free()
		}
	}
	have, fresh := d.definitions(conn), map[string]string{}
	for name, n := range tables {
		rows, free, err := d.sources(ctx, in, n)
		releases = append(releases, free...)
		if err != nil {
			release()
			return nil, err
		}
		if text := definition(name, n.form, rows); have[name] != text {
			fresh[name] = text
		}
	}
	if len(fresh) > 0 {
		if err := conn.Exec(ctx, strings.Join(slices.Collect(maps.Values(fresh)), ";\n")); err != nil {
			clear(have) // some may stand, some not
			release()
			return nil, err
		}
		maps.Copy(have, fresh)
	}
	return release, nil
}

// definitions are what names stand for on a connection by now. They are the caller's as long as the connection is.
func (d *database) definitions(conn *engine.Conn) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	have, ok := d.defined[conn]
	if !ok {
		have = map[string]string{}
		d.defined[conn] = have
	}
	return have
}

// sources gives the SELECT behind a name; for operators of all the tenants they ask for, whose names are its first column.
func (d *database) sources(ctx context.Context, in []scope, n named) (rows string, releases []func(), err error) {
	parts := make([]string, len(in))
	for i, one := range in {
		rows, free, err := d.member(one.tenant).source(ctx, one, n)
		if free != nil {
			releases = append(releases, free)
		}
		if err != nil {
			return "", releases, err
		}
		if parts[i] = rows; d.tenant == operators {
			parts[i] = "select " + quoteText(one.tenant) + " as tenant, * from (" + rows + ")"
		}
	}
	return strings.Join(parts, " union all "), releases, nil
}

func definition(name string, f form, rows string) string {
	if f == formAt {
		return "create or replace temp macro " + quoteName(name) + "(ts) as table " + rows
	}
	return "create or replace temp view " + quoteName(name) + " as " + rows
}

// tableNames lists what SHOW TABLES shows.
func (e *Engine) tableNames() []string {
	names := []string{tableEvents}
	for _, table := range e.schemas {
		names = append(names, table.name, table.name+suffixHistory)
	}
	return names
}

// showTables is the statement that SHOW TABLES stands for.
func (e *Engine) showTables() string {
	names := e.tableNames()
	for i, name := range names {
		names[i] = quoteText(name)
	}
	return "select unnest([" + strings.Join(names, ", ") + "]) as name order by name"
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
