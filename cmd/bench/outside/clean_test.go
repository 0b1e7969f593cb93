package outside

import (
	"fmt"
	"path/filepath"
	"testing"
)

// A recoded file has the rows of one file and the encodings of another.
func TestRecode(t *testing.T) {
	r, dir := newReader(t), t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n+".parquet") }
	const rows = "select i::double n, 'x' || i % 5 s from range(200000) t(i)"
	for _, f := range []struct{ file, rows, dictionary string }{
		{"from", rows, "dictionary_size_limit 300000"},
		{"like", "select 0.5::double + i n, 'y' s from range(1000) t(i)", "dictionary_size_limit 10"},
	} {
		if err := r.Run(t.Context(), fmt.Sprintf("copy (%s) to '%s' (format parquet, %s)", f.rows, name(f.file), f.dictionary)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Recode(t.Context(), name("from"), name("like"), name("to")); err != nil {
		t.Fatal(err)
	}
	for question, want := range map[string]string{
		fmt.Sprintf("select count(*) from ((%s) except all from '%s')", rows, name("to")): "0\n",
		fmt.Sprintf("select count(*) from '%s'", name("to")):                              "200000\n",
		fmt.Sprintf(`select string_agg(path_in_schema, ' ' order by path_in_schema) from parquet_metadata('%s')
			where row_group_id = 0 and encodings like '%%DICT%%'`, name("to")): "s\n",
		fmt.Sprintf("select max(row_group_num_rows) from parquet_metadata('%s')", name("to")): "131072\n",
	} {
		if got, _, err := r.Time(t.Context(), question); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", question, got, err, want)
		}
	}
}
