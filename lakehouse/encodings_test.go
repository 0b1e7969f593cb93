package lakehouse

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/file"

	"headless.ly/catalog/noun"
)

// storage is a row of the seed's table of encodings (interfaces.md 9.2), with ruling 19 for the kinds that it lacks, in the
// words of DuckDB's parquet_schema. Iceberg stores a decimal of up to 18 digits as an integer.
type storage struct {
	physical   string
	converted  string // of parquet_schema's converted_type; the empty one has none
	logical    string // begins parquet_schema's logical_type
	iceberg    string
	dictionary bool
	literal    string // SQL of a value, %s for its text
}

func seedEncodings() map[string]storage {
	text := storage{physical: "BYTE_ARRAY", converted: "UTF8", logical: "StringType()", iceberg: "string", dictionary: true, literal: "'%s'"}
	document := text
	document.dictionary = false
	instant := storage{physical: "INT64", converted: "TIMESTAMP_MICROS",
		logical: "TimestampType(isAdjustedToUTC=1, unit=TimeUnit(MILLIS=<null>, MICROS=MicroSeconds()",
		iceberg: "timestamptz", literal: "timestamptz '%s'"}
	double := storage{physical: "DOUBLE", iceberg: "double", literal: "%s::double"}
	return map[string]storage{
		"string": text, "enum": text, "id": text, "url": text, "email": text, "text": text, "markdown": text, "uuid": text,
		"ulid": text, "json": document, "array": document,
		"number": double, "float": double, "datetime": instant, "timestamp": instant,
		"boolean": {physical: "BOOLEAN", iceberg: "boolean", literal: "%s"},
		"int":     {physical: "INT64", converted: "INT_64", logical: "IntType(", iceberg: "long", literal: "%s::bigint"},
		"date":    {physical: "INT32", converted: "DATE", logical: "DateType()", iceberg: "date", literal: "date '%s'"},
		"decimal": {physical: "INT64", converted: "DECIMAL", logical: "DecimalType(scale=2, precision=10)",
			iceberg: "decimal(10, 2)", literal: "%s::decimal(10,2)"},
	}
}

// written is a column as the specification has it.
type written struct {
	name, kind string
	required   bool
	indexed    bool // dictionary and bloom filter
	values     []string
}

// specifiedEvents are the columns of events (analytics.md 1). Bloom filters on id, type, target and actor.
var specifiedEvents = []written{
	{name: "tenant", kind: "string", required: true}, {name: "seq", kind: "int", required: true},
	{name: "id", kind: "id", required: true, indexed: true}, {name: "kind", kind: "enum", required: true},
	{name: "type", kind: "string", required: true, indexed: true}, {name: "entity", kind: "string", required: true},
	{name: "target", kind: "id", required: true, indexed: true}, {name: "verb", kind: "string"},
	{name: "actor", kind: "string", indexed: true}, {name: "timestamp", kind: "datetime", required: true},
	{name: "version", kind: "int", required: true}, {name: "data", kind: "json"}, {name: "before", kind: "json"},
	{name: "changes", kind: "json"}, {name: "input", kind: "json"}, {name: "source", kind: "string"},
	{name: "requestId", kind: "string"}, {name: "cause", kind: "id"},
}

// around gives a noun table's columns with those that every table has before and behind the declared ones.
func around(declared []written) []written {
	return slices.Concat(
		[]written{{name: "tenant", kind: "string", required: true}, {name: "id", kind: "id", required: true, indexed: true}},
		declared,
		[]written{{name: "_version", kind: "int", required: true}, {name: "_createdAt", kind: "datetime", required: true},
			{name: "_updatedAt", kind: "datetime", required: true}, {name: "_createdBy", kind: "id"},
			{name: "_seq", kind: "int", required: true}, {name: "_extra", kind: "json"}})
}

// specifiedNoun is a noun as the catalogue lists it.
type specifiedNoun struct {
	Name, IDPrefix string
	Fields         []struct {
		Name, Type                string
		Required, Indexed, Unique bool
		Enum                      []string
	}
	Relationships []struct {
		Name                      string
		Many, StoresKey, Required bool
	}
}

// columns gives its table's columns.
func (n *specifiedNoun) columns() []written {
	var declared []written
	for _, f := range n.Fields {
		declared = append(declared, written{name: f.Name, kind: f.Type, required: f.Required, indexed: f.Indexed || f.Unique, values: f.Enum})
	}
	for _, r := range n.Relationships {
		if r.StoresKey {
			declared = append(declared, written{name: r.Name, kind: map[bool]string{true: "array", false: "id"}[r.Many], required: r.Required})
		}
	}
	return around(declared)
}

// readSpecification reads the catalogue of nouns that the specification comes with.
func readSpecification(t *testing.T) []specifiedNoun {
	text, err := os.ReadFile("../catalog/noun/testdata/nouns.json")
	if err != nil {
		t.Fatal(err)
	}
	var catalogue struct{ Nouns []specifiedNoun }
	if err := json.Unmarshal(text, &catalogue); err != nil {
		t.Fatal(err)
	}
	if len(catalogue.Nouns) != 35 {
		t.Fatalf("%d nouns, want 35", len(catalogue.Nouns))
	}
	return catalogue.Nouns
}

// text is the column's value in row i, without the quotes of JSON.
func (w written) text(i int) string {
	switch w.kind {
	case "number", "float":
		return fmt.Sprintf("%d.5", i)
	case "decimal":
		return fmt.Sprintf("%d.25", i)
	case "int":
		return fmt.Sprint(i)
	case "boolean":
		return fmt.Sprint(i%2 == 0)
	case "datetime", "timestamp":
		return fmt.Sprintf("2026-01-15T10:00:00.%03dZ", i)
	case "date":
		return fmt.Sprintf("2026-02-%02d", 1+i%28)
	case "json":
		return fmt.Sprintf(`{"n":[%d]}`, i)
	case "array":
		return fmt.Sprintf(`["a","%d"]`, i)
	case "enum":
		if len(w.values) > 0 {
			return w.values[i%len(w.values)]
		}
	}
	return fmt.Sprintf("%s %d", w.name, i%7)
}

// absent is a value that no row has.
func (w written) absent() string {
	switch w.kind {
	case "number", "float", "decimal", "int":
		return w.text(900_000)
	case "datetime", "timestamp", "date":
		return strings.Replace(w.text(1), "2026", "1999", 1)
	}
	return "no such " + w.text(1)
}

// member is the value as a member of a document.
func (w written) member(i int) string {
	switch w.kind {
	case "number", "float", "decimal", "int", "boolean", "json", "array":
		return fmt.Sprintf("%q:%s", w.name, w.text(i))
	}
	return fmt.Sprintf("%q:%q", w.name, w.text(i))
}

// literal is a value's text in SQL.
func (w written) literal(text string) string {
	return fmt.Sprintf(seedEncodings()[w.kind].literal, text)
}

// members are the members of a document with the columns between id and _version; sparse: the required ones alone.
func members(columns []written, i int, sparse bool) string {
	var all []string
	for _, w := range columns[2 : len(columns)-6] {
		if !sparse || w.required {
			all = append(all, w.member(i))
		}
	}
	if !sparse {
		all = append(all, fmt.Sprintf(`"undeclared":%d`, i))
	}
	return strings.Join(all, ",")
}

// TestEncodings opens the files of every table with DuckDB and holds every column against the seed's table: in one file all
// columns are filled, in another the required ones alone.
func TestEncodings(t *testing.T) {
	const rows = 50
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	tables := map[string][]written{"events": specifiedEvents}
	for _, n := range readSpecification(t) {
		if n.Name == "Event" { // its instances are rows of events
			log.write("acme", n.Name, "event_00000001", "create", `"type":"track"`).Kind = KindAnalytics
			continue
		}
		columns := n.columns()
		tables[strings.ToLower(n.Name)] = columns
		for i := range rows {
			id := fmt.Sprintf("%s_%08d", n.IDPrefix, i)
			e := log.write("acme", n.Name, id, "create", members(columns, i, false))
			e.Actor, e.Cause = fmt.Sprint("actor ", i%7), "evt_1"
			e.Before, e.Changes, e.Input = []byte(`{"a":1}`), []byte(`[{"field":"a"}]`), []byte(`{"b":2}`)
			e.Data = []byte(strings.Replace(string(e.Data), `"$updatedAt"`, `"$createdBy":"user_1","$updatedAt"`, 1))
			log.write("birch", n.Name, id, "create", members(columns, i, true))
		}
	}
	publish(t, l)
	if declared := len(l.tables); declared != len(tables) {
		t.Errorf("%d tables, the specification has %d", declared, len(tables))
	}
	for name, columns := range tables {
		t.Run(name, func(t *testing.T) {
			files := currentFiles(t, l, name)
			if len(files) != 2 {
				t.Fatalf("%d files, want one a tenant", len(files))
			}
			for _, f := range files {
				checkEncodings(t, f, columns)
			}
			checkFieldIDs(t, l, name, files, columns)
			if name != "events" {
				checkBlooms(t, files[0], columns)
				checkValues(t, files[0], columns, rows)
				return
			}
			for _, c := range []struct{ column, value string }{{"id", log.events["acme"][5].ID}, {"type", "Contact.create"},
				{"target", "contact_00000004"}, {"actor", "actor 3"}} {
				checkBloom(t, files[0], c.column, "'"+c.value+"'", true)
				checkBloom(t, files[0], c.column, "'no such "+c.column+"'", false)
			}
		})
	}
}

// kinds is a noun with every kind of field that the notation knows, each of them indexed too.
const kinds = `
	aString: string    bString: string#
	aNumber: number    bNumber: number#
	aBoolean: boolean! bBoolean: boolean#
	aDatetime: datetime bDatetime: datetime##
	aTimestamp: timestamp bTimestamp: timestamp#
	aDate: date        bDate: date#
	aJSON: json        aArray: string[]
	aEnum: A | B | C
	aID: id            bID: id##
	aURL: url          bURL: url#
	aEmail: email      bEmail: email##
	aText: text        aMarkdown: markdown
	aInt: int          bInt: int##
	aFloat: float      bFloat: float#
	aDecimal: decimal(10,2) bDecimal: decimal(10,2)#
	aUUID: uuid        bULID: ulid#
`

// everyKind declares kinds as a noun, and as the specification reads it.
func everyKind(t *testing.T) (*noun.Noun, []written) {
	var declared []written
	lines := []string{}
	for _, pair := range strings.Fields(strings.ReplaceAll(strings.ReplaceAll(kinds, ": ", ":"), " | ", "|")) {
		name, notation, _ := strings.Cut(pair, ":")
		lines = append(lines, name+": "+notation)
		w := written{name: name, indexed: strings.Contains(notation, "#"), required: strings.Contains(notation, "!")}
		w.kind, _, _ = strings.Cut(strings.TrimRight(notation, "#!"), "(")
		switch {
		case strings.Contains(notation, "|"):
			w.kind, w.values = "enum", strings.Split(notation, "|")
		case strings.HasSuffix(notation, "[]"):
			w.kind = "array"
		}
		declared = append(declared, w)
	}
	n, err := noun.Define(noun.Declaration{Name: "Kinds", Properties: strings.Join(lines, "\n")})
	if err != nil {
		t.Fatal(err)
	}
	return n, around(declared)
}

// TestEncodingsOfEveryKind does the same for the kinds of fields that no noun of the catalogue has, and for indexed columns of
// every kind.
func TestEncodingsOfEveryKind(t *testing.T) {
	const rows = 1000
	n, want := everyKind(t)
	columns := TableColumns(n)
	for i := range columns {
		columns[i].FieldID = 1 + i
	}
	tbl, err := newTable(n.Table(), n, columns)
	if err != nil {
		t.Fatal(err)
	}
	log := newFakeLog()
	changes := make(map[string]*Event, rows)
	for i := range rows {
		e := log.write("acme", n.Name, fmt.Sprintf("kinds_%08d", i), "create", members(want, i, false))
		changes[e.Target] = e
	}
	merged, err := tbl.merge("acme", nil, changes, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Release()
	l := openLake(t, t.TempDir(), log)
	df, err := tbl.writeFile(l.cat.IO(), "file://"+t.TempDir(), placement{tenant: "acme", name: "kinds.parquet"}, merged, mem)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(df.FilePath(), "file://")
	checkEncodings(t, name, want)
	checkBlooms(t, name, want)
	checkValues(t, name, want, rows)
	checkSorted(t, name, "id", 1)
	read, err := tbl.readFile(t.Context(), l.cat.IO(), df.FilePath(), mem)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Release()
	if !array.RecordEqual(read, merged) {
		t.Error("rows are read otherwise than they were written")
	}
}

// TestRowGroupsOfEvents says that an events file's rows stand in order of seq through all its row groups, and that they are
// encoded alike where their ids leave the dictionaries behind.
func TestRowGroupsOfEvents(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, func(c *Config) { c.MaxBytesPerRead = 1 << 30 })
	for i := range rowGroupRows + 1000 {
		seq := int64(i + 1)
		log.events["acme"] = append(log.events["acme"], &Event{Seq: seq, ID: fmt.Sprintf("evt_%012d", seq*7919%1e9), Kind: KindAnalytics,
			Type: "track", Entity: "Event", Target: fmt.Sprintf("event_%08d", i), Verb: "create", Timestamp: startMS + seq, Version: 1,
			Data: fmt.Appendf(nil, `{"$type":"Event","$id":"event_%08d"}`, i)})
	}
	publish(t, l)
	files := currentFiles(t, l, "events")
	if len(files) != 1 {
		t.Fatalf("%d files, want 1", len(files))
	}
	checkEncodings(t, files[0], specifiedEvents)
	checkSorted(t, files[0], "seq", 2)
}

// checkEncodings holds the schema and every column chunk of a file against the seed's table.
func checkEncodings(t *testing.T, name string, want []written) {
	t.Helper()
	schema := rowsByName(t, name, `select name, type, coalesce(converted_type, ''), coalesce(logical_type, ''), repetition_type
		from parquet_schema({file}) where num_children is null`)
	if len(schema) != len(want) {
		t.Errorf("%d columns, want %d: %v", len(schema), len(want), slices.Sorted(maps.Keys(schema)))
	}
	chunks := rowsByName(t, name, `select path_in_schema, string_agg(distinct compression), bool_and(dictionary_page_offset is not null),
		bool_or(dictionary_page_offset is not null), bool_and(contains(encodings, 'RLE_DICTIONARY')),
		bool_or(contains(encodings, 'DICTIONARY')), bool_and(bloom_filter_offset is not null and bloom_filter_length > 0),
		bool_or(bloom_filter_offset is not null), list_sort(list_distinct(flatten(list(split(encodings, ', ')))))
		from parquet_metadata({file}) group by all`)
	for _, w := range want {
		s, seed := schema[w.name], seedEncodings()[w.kind]
		if s == nil || chunks[w.name] == nil {
			t.Errorf("%s: not in the file", w.name)
			continue
		}
		if s[0] != seed.physical || s[1] != seed.converted || !strings.HasPrefix(s[2], seed.logical) {
			t.Errorf("%s, %s: %v, want %s %s %s", w.name, w.kind, s, seed.physical, seed.converted, seed.logical)
		}
		if repetition := map[bool]string{true: "REQUIRED", false: "OPTIONAL"}[w.required]; s[3] != repetition {
			t.Errorf("%s: %s, want %s", w.name, s[3], repetition)
		}
		w.checkChunks(t, chunks[w.name], seed)
	}
}

// checkChunks holds what all the column's chunks have in common, and the encodings of any of them, against the seed's table.
// An indexed boolean is stored as any other: the format has no bloom filter for it and RLE is its encoding.
func (w written) checkChunks(t *testing.T, chunk []string, seed storage) {
	t.Helper()
	if chunk[0] != "ZSTD" {
		t.Errorf("%s: compression %s", w.name, chunk[0])
	}
	indexed := w.indexed && w.kind != "boolean"
	dictionary := fmt.Sprint(seed.dictionary || indexed)
	for i, what := range []string{"dictionary page in all", "dictionary page in one", "encoding in all", "encoding in one"} {
		if chunk[1+i] != dictionary {
			t.Errorf("%s, %s: dictionary %s, want %s (%s row groups; %s)", w.name, w.kind, chunk[1+i], dictionary, what, chunk[7])
		}
	}
	if bloom := fmt.Sprint(indexed); chunk[5] != bloom || chunk[6] != bloom {
		t.Errorf("%s, %s: bloom filter in all row groups: %s, in one: %s, want %s", w.name, w.kind, chunk[5], chunk[6], bloom)
	}
	encodings := "[PLAIN RLE]" // RLE is that of nulls
	switch {
	case w.kind == "boolean":
		encodings = "[RLE]"
	case dictionary == "true":
		encodings = "[PLAIN RLE RLE_DICTIONARY]" // PLAIN is that of the dictionary's page
	}
	if chunk[7] != encodings {
		t.Errorf("%s, %s: encodings %s, want %s", w.name, w.kind, chunk[7], encodings)
	}
}

// checkBlooms asks every bloom filter for a value that is there and for some that are not.
func checkBlooms(t *testing.T, name string, want []written) {
	t.Helper()
	for _, w := range want {
		switch {
		case !w.indexed || w.kind == "boolean":
		case w.name == "id":
			checkBloom(t, name, w.name, query(t, []string{name}, "select format('''{}''', id) from {table} limit 1")[0], true)
			checkBloom(t, name, w.name, "'no such id'", false)
		case w.kind == "decimal": // DuckDB 1.5 probes with the whole part of a decimal where the file has all its digits
			checkBloom(t, name, w.name, strings.Replace(w.text(3), ".", "", 1)+"::bigint", true)
			checkBloom(t, name, w.name, strings.Replace(w.absent(), ".", "", 1)+"::bigint", false)
		default:
			checkBloom(t, name, w.name, w.literal(w.text(3)), true)
			checkBloom(t, name, w.name, w.literal(w.absent()), false)
		}
	}
}

func checkBloom(t *testing.T, name, column, literal string, there bool) {
	t.Helper()
	probe := fmt.Sprintf("select bloom_filter_excludes from parquet_bloom_probe('%s', '%s', %s)", name, column, literal)
	got := query(t, []string{name}, probe)
	if admits := slices.Contains(got, "false"); len(got) == 0 || admits != there {
		t.Errorf("%s: the bloom filter says of %s: excluded %v", column, literal, got)
	}
}

// checkValues holds the values of the first rows, as DuckDB reads them, against those that were written.
func checkValues(t *testing.T, name string, want []written, rows int) {
	t.Helper()
	for _, w := range want[2 : len(want)-6] {
		var values []string
		for i := range rows {
			values = append(values, w.literal(w.text(i)))
		}
		q := fmt.Sprintf(`with want as (select unnest([%s]) v, unnest(range(%d)) i), got as (
				select %q v, file_row_number i from read_parquet('%s', file_row_number=true) where file_row_number < %d)
			select count(*) from want full join got using (i) where want.v is distinct from got.v`,
			strings.Join(values, ","), rows, w.name, name, rows)
		if got := query(t, []string{name}, q); got[0] != "0" {
			t.Errorf("%s: %s of %d values are not those that were written", w.name, got[0], rows)
		}
	}
}

// checkFieldIDs says that files and table metadata number the columns as the committed register does, and that the metadata
// types them as the seed's table does.
func checkFieldIDs(t *testing.T, l *Lake, table string, files []string, want []written) {
	t.Helper()
	tbl, err := l.cat.LoadTable(t.Context(), []string{"headlessly", table})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		id := fieldIDs()[table][w.name]
		f, found := tbl.Schema().FindFieldByName(w.name)
		if id == 0 || !found || f.ID != id || f.Type.String() != seedEncodings()[w.kind].iceberg || f.Required != w.required {
			t.Errorf("%s: table metadata has %v, want id %d, %s, required %v", w.name, f, id, seedEncodings()[w.kind].iceberg, w.required)
		}
		for _, name := range files {
			got := rowsByName(t, name, "select name, field_id from parquet_schema({file})")
			if got[w.name] == nil || got[w.name][0] != fmt.Sprint(id) {
				t.Errorf("%s: field id %v in %s, want %d", w.name, got[w.name], path.Base(name), id)
			}
		}
	}
}

// checkSorted says that a file has this many row groups, its rows in order of a column, and says so; and that every column
// but JSON has a page index, which DuckDB does not show.
func checkSorted(t *testing.T, name, column string, groups int) {
	t.Helper()
	q := fmt.Sprintf(`select count(*) from (select %q v, lag(%q) over (order by file_row_number) previous
		from read_parquet('%s', file_row_number=true)) where previous >= v`, column, column, name)
	if got := query(t, []string{name}, q); got[0] != "0" {
		t.Errorf("%s rows are not in order of %s", got[0], column)
	}
	f, err := file.OpenParquetFile(name, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.NumRowGroups() != groups {
		t.Errorf("%d row groups, want %d", f.NumRowGroups(), groups)
	}
	for i := range f.NumRowGroups() {
		group := f.MetaData().RowGroup(i)
		by := group.SortingColumns()
		if len(by) != 1 || by[0].Descending || f.MetaData().Schema.Column(int(by[0].ColumnIdx)).Name() != column {
			t.Errorf("row group %d is sorted by %v, want %s", i, by, column)
		}
		pages, err := f.GetPageIndexReader().RowGroup(i)
		if err != nil || pages == nil {
			t.Fatalf("row group %d has no page index: %v", i, err)
		}
		for j := range group.NumColumns() {
			if chunk, _ := group.ColumnChunk(j); chunk.Type().String() == "BYTE_ARRAY" && !chunk.HasDictionaryPage() {
				continue // JSON
			}
			if index, err := pages.GetColumnIndex(j); err != nil || index == nil || len(index.GetNullPages()) == 0 {
				t.Errorf("column %s has no page index: %v", f.MetaData().Schema.Column(j).Name(), err)
			}
		}
	}
}

// rowsByName asks DuckDB about a file, {file} in the question, and gives the rows by their first column.
func rowsByName(t *testing.T, name, q string) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, line := range query(t, []string{name}, strings.ReplaceAll(q, "{file}", "'"+name+"'")) {
		f := strings.Split(line, "|")
		rows[f[0]] = f[1:]
	}
	return rows
}
