package lakehouse

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"headless.ly/catalog/noun"
)

// TestEncodings opens a file of every table with DuckDB and holds every column against the seed's table.
func TestEncodings(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	for _, n := range noun.Core().All() {
		if n.Name == "Event" {
			continue
		}
		for i := range 50 {
			log.write("acme", n.Name, fmt.Sprintf("%s_%08d", n.IDPrefix, i), "create", sample(n, i))
		}
	}
	publish(t, l)
	check(t, l, log)
	for _, tbl := range l.tables {
		t.Run(tbl.Name, func(t *testing.T) {
			files := currentFiles(t, l, tbl.Name)
			if len(files) == 0 {
				t.Fatal("no file")
			}
			checkEncodings(t, tbl, files[0])
		})
	}
}

// sample gives a document's members with a value for every column.
func sample(n *noun.Noun, i int) string {
	var members []string
	for _, c := range n.Columns() {
		var v string
		switch typeOf(c) {
		case Double, Long, Decimal:
			v = fmt.Sprint(i)
		case Boolean:
			v = fmt.Sprint(i%2 == 0)
		case Timestamp:
			v = `"2026-01-15T10:00:00.123Z"`
		case Date:
			v = `"2026-01-15"`
		case JSON:
			v = fmt.Sprintf(`{"n":[%d]}`, i)
		default:
			v = fmt.Sprintf(`"value %d"`, i%7)
		}
		members = append(members, fmt.Sprintf("%q:%s", c.Name, v))
	}
	return strings.Join(members, ",")
}

func checkEncodings(t *testing.T, tbl *Table, file string) {
	quoted := "'" + file + "'"
	schema := map[string][]string{}
	for _, line := range query(t, []string{file}, "select name, type, repetition_type, coalesce(converted_type, ''), coalesce(logical_type, ''), field_id from parquet_schema("+quoted+")") {
		f := strings.Split(line, "|")
		schema[f[0]] = f[1:]
	}
	chunks := map[string][]string{}
	for _, line := range query(t, []string{file}, "select path_in_schema, encodings, compression, bloom_filter_offset is not null, dictionary_page_offset is not null from parquet_metadata("+quoted+")") {
		f := strings.Split(line, "|")
		chunks[f[0]] = f[1:]
	}
	physical := map[Type]string{String: "BYTE_ARRAY", JSON: "BYTE_ARRAY", Double: "DOUBLE", Boolean: "BOOLEAN", Long: "INT64",
		Timestamp: "INT64", Date: "INT32", Decimal: "FIXED_LEN_BYTE_ARRAY"}
	for _, c := range tbl.Columns {
		s, k := schema[c.Name], chunks[c.Name]
		if s == nil || k == nil {
			t.Errorf("%s: not in the file", c.Name)
			continue
		}
		repetition := map[bool]string{true: "REQUIRED", false: "OPTIONAL"}[c.Required]
		if s[0] != physical[c.Type] || s[1] != repetition || s[4] != fmt.Sprint(c.FieldID) {
			t.Errorf("%s: schema %v", c.Name, s)
		}
		if c.Type == Timestamp && (s[2] != "TIMESTAMP_MICROS" || !strings.Contains(s[3], "isAdjustedToUTC=1")) {
			t.Errorf("%s: no timestamp in UTC micros: %v", c.Name, s)
		}
		if (c.Type == String || c.Type == JSON) && s[2] != "UTF8" || c.Type == Date && s[2] != "DATE" {
			t.Errorf("%s: schema %v", c.Name, s)
		}
		dictionary := c.Indexed && c.Type != Boolean || c.Type == String
		if (strings.Contains(k[0], "DICTIONARY") && k[3] == "true") != dictionary {
			t.Errorf("%s: dictionary %v: %v", c.Name, !dictionary, k)
		}
		if c.Type == Boolean && strings.Trim(k[0], "RLE, ") != "" || !dictionary && c.Type != Boolean && !strings.Contains(k[0], "PLAIN") {
			t.Errorf("%s: encodings %s", c.Name, k[0])
		}
		if k[1] != "ZSTD" {
			t.Errorf("%s: compression %s", c.Name, k[1])
		}
		if (k[2] == "true") != c.Bloom {
			t.Errorf("%s: bloom filter %s, want %v", c.Name, k[2], c.Bloom)
		}
	}
	if len(chunks) != len(tbl.Columns) {
		t.Errorf("columns %v", slices.Sorted(maps.Keys(chunks)))
	}
	probe := "select bloom_filter_excludes from parquet_bloom_probe(" + quoted + ", 'id', 'no such id')"
	if got := query(t, []string{file}, probe); !slices.Contains(got, "true") {
		t.Errorf("bloom filter of id admits what is not there: %v", got)
	}
}

// TestLayout says where files are, as the seed demands.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	log := newFakeLog()
	l := openLake(t, dir, log)
	log.contact("acme", 1, "a")
	log.contact("acme", 1, "b")
	publish(t, l)
	events, err := filepath.Rel(dir, currentFiles(t, l, "events")[0])
	if err != nil {
		t.Fatal(err)
	}
	pattern := `^warehouse/iceberg/events/data/tenant=acme/date=2026-01-15/events-1-2-[0-9a-f-]{36}\.parquet$`
	if !regexp.MustCompile(pattern).MatchString(events) {
		t.Errorf("events file %s", events)
	}
	contact, err := filepath.Rel(dir, currentFiles(t, l, "contact")[0])
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^warehouse/iceberg/contact/data/tenant=acme/contact-2-[0-9a-f-]{36}\.parquet$`).MatchString(contact) {
		t.Errorf("contact file %s", contact)
	}
}
