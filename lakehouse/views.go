package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icecat "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/view"

	"headless.ly/catalog"
)

// historySuffix makes the name of a noun's view of all versions from the name of its table.
const historySuffix = "_history"

// MakeViews makes the views <noun>_history in the Iceberg catalog, for the engines that have views, or brings them up to what
// the nouns declare: every version of every entity, with the columns of analytics.md 1, read from the events table. It does
// nothing where they are so already.
func (l *Lake) MakeViews(ctx context.Context) error {
	var changes []catalog.ViewChange
	for _, t := range l.tables[1:] {
		ch, err := l.historyView(ctx, t)
		if err != nil {
			return fmt.Errorf("make view of %s: %w", t.Name, err)
		}
		if ch != nil {
			changes = append(changes, *ch)
		}
	}
	return l.cat.PutViews(ctx, changes)
}

// historyView gives what is to become of a noun's view; nil where it is as it should be.
func (l *Lake) historyView(ctx context.Context, t *Table) (*catalog.ViewChange, error) {
	name := t.Name + historySuffix
	ch := &catalog.ViewChange{Identifier: table.Identifier{catalog.Namespace, name}}
	schema, texts := historySchema(t), []view.Representation{sparkHistory(t), trinoHistory(t)}
	version, err := view.NewVersion(view.InitialVersionID, 0, texts, table.Identifier{catalog.Namespace})
	if err != nil {
		return nil, err
	}
	base, location, err := l.cat.View(ctx, ch.Identifier)
	if errors.Is(err, icecat.ErrNoSuchView) {
		ch.Metadata, err = view.NewMetadata(version, schema, l.cat.ViewLocation(name), nil)
		return ch, err
	}
	if err != nil {
		return nil, err
	}
	if slices.Equal(base.CurrentVersion().Representations, texts) && base.CurrentSchema().Equals(schema) {
		return nil, nil
	}
	b, err := view.MetadataBuilderFromBase(base)
	if err != nil {
		return nil, err
	}
	next, err := b.SetCurrentVersion(version, schema).Build()
	if err != nil {
		return nil, err
	}
	ch.Base, ch.Metadata = location, next
	return ch, nil
}

// historyColumns are the columns of a noun's view after those of its table.
var historyColumns = []Column{
	{Name: "_validFrom", Type: Timestamp, Required: true}, {Name: "_validTo", Type: Timestamp}, {Name: "_deleted", Type: Boolean},
	{Name: "_verb", Type: String}, {Name: "_actor", Type: String}, {Name: "_event", Type: String, Required: true},
}

func historySchema(t *Table) *iceberg.Schema {
	var fields []iceberg.NestedField
	for i, c := range slices.Concat(t.Columns, historyColumns) {
		fields = append(fields, iceberg.NestedField{ID: i + 1, Name: c.Name, Type: icebergType(c), Doc: docOf(c)})
	}
	return iceberg.NewSchema(0, fields...)
}

// TrinoCatalog is what Trino's users must call the catalog in which they want to use our views. A view's text is read there
// without the catalog that the view is in, so it has to name one; Spark takes the view's own.
const TrinoCatalog = "lake"

// dialect is how an engine's SQL is written.
type dialect struct {
	name  string
	from  string // the events table
	quote func(string) string
	text  func(member string) string     // a member of data as text
	json  func(member string) string     // a member of data as JSON text
	stamp func(text string) string       // text as a timestamp; null where it does not fit
	extra func(declared []string) string // the members of data that are not declared, as JSON text
}

func sparkHistory(t *Table) view.Representation {
	text := func(member string) string { return "get_json_object(e.data, '$." + member + "')" }
	return dialect{
		name:  "spark",
		from:  eventsTable,
		quote: func(name string) string { return "`" + name + "`" },
		text:  text,
		json:  text,
		stamp: func(text string) string { return "try_cast(" + text + " as timestamp)" },
		extra: func(declared []string) string {
			return "nullif(to_json(map_filter(from_json(e.data, 'map<string,string>'), (k, v) -> v is not null and k not like '$%' and k not in (" +
				literals(declared) + "))), '{}')"
		},
	}.history(t)
}

func trinoHistory(t *Table) view.Representation {
	return dialect{
		name:  "trino",
		from:  TrinoCatalog + "." + catalog.Namespace + "." + eventsTable,
		quote: func(name string) string { return `"` + name + `"` },
		text:  func(member string) string { return `json_extract_scalar(e.data, '$["` + member + `"]')` },
		json: func(member string) string {
			return `nullif(json_format(json_extract(e.data, '$["` + member + `"]')), 'null')`
		},
		stamp: func(text string) string {
			return "cast(try(from_iso8601_timestamp_nanos(" + text + ")) as timestamp(6) with time zone)"
		},
		extra: func(declared []string) string {
			return "nullif(json_format(cast(map_filter(cast(json_parse(e.data) as map(varchar, json)), (k, v) -> json_format(v) <> 'null'" +
				" and not starts_with(k, '$') and k not in (" + literals(declared) + ")) as json)), '{}')"
		},
	}.history(t)
}

// typed is text as a column's type; null where it does not fit.
func (d dialect) typed(text string, c Column) string {
	switch c.Type {
	case Double:
		return "try_cast(" + text + " as double)"
	case Boolean:
		return "try_cast(" + text + " as boolean)"
	case Long:
		return "try_cast(" + text + " as bigint)"
	case Timestamp:
		return d.stamp(text)
	case Date:
		return "try_cast(substr(" + text + ", 1, 10) as date)"
	case Decimal:
		return fmt.Sprintf("try_cast(%s as decimal(%d, %d))", text, c.Precision, c.Scale)
	default:
		return text
	}
}

// literals are names as SQL texts: names of fields, which have no quote in them.
func literals(names []string) string { return "'" + strings.Join(names, "', '") + "'" }

// history is the SQL of a noun's view. A field that was renamed is read under each of its names.
func (d dialect) history(t *Table) view.Representation {
	declared := []string{}
	for old, now := range t.Noun.Was() {
		declared = append(declared, old, now)
	}
	for _, c := range t.Noun.Columns() {
		declared = append(declared, c.Name)
	}
	slices.Sort(declared)
	declared = slices.Compact(declared)
	fixed := map[string]string{
		"tenant": "e.tenant", "id": "e.target", "_version": "e.version", "_seq": "e.seq", "_extra": d.extra(declared),
		"_createdAt": d.member(t, Column{Name: "$createdAt", Type: Timestamp}),
		"_updatedAt": d.member(t, Column{Name: "$updatedAt", Type: Timestamp}),
		"_createdBy": d.member(t, Column{Name: "$createdBy", Type: String}),
		"_validFrom": "e." + d.quote("timestamp"),
		"_validTo":   "lead(e." + d.quote("timestamp") + ") over (partition by e.tenant, e.target order by e.seq)",
		"_deleted":   "coalesce(e.verb, '') = 'delete'", "_verb": "e.verb", "_actor": "e.actor", "_event": "e.id",
	}
	var list []string
	for _, c := range slices.Concat(t.Columns, historyColumns) {
		text, found := fixed[c.Name]
		if !found {
			text = d.member(t, c)
		}
		list = append(list, text+" as "+d.quote(c.Name))
	}
	return view.NewRepresentation("select "+strings.Join(list, ",\n  ")+"\nfrom "+d.from+" e\nwhere e.entity = '"+t.Noun.Name+"'", d.name)
}

// member reads a member of data as a column's type.
func (d dialect) member(t *Table, c Column) string {
	read := d.text
	if c.Type == JSON {
		read = d.json
	}
	names := []string{c.Name}
	for old, now := range t.Noun.Was() {
		if now == c.Name {
			names = append(names, old)
		}
	}
	slices.Sort(names[1:])
	for i, name := range names {
		names[i] = read(name)
	}
	text := names[0]
	if len(names) > 1 {
		text = "coalesce(" + strings.Join(names, ", ") + ")"
	}
	return d.typed(text, c)
}
