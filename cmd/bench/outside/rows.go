package outside

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // DuckDB
)

// Reader is a DuckDB of its own that reads files. It is safe for concurrent use.
type Reader struct{ db *sql.DB }

// NewReader opens one, which the caller closes.
func NewReader() (*Reader, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	return &Reader{db: db}, nil
}

// LoadIceberg loads DuckDB's own reader of Iceberg tables from a folder that holds the files of the extensions avro, httpfs
// and iceberg, as their packages on PyPI do, somewhere below it.
func (r *Reader) LoadIceberg(ctx context.Context, dir string) error {
	for _, name := range []string{"avro", "httpfs", "iceberg"} {
		var found string
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == name+".duckdb_extension" {
				found = path
			}
			return err
		})
		if err == nil && found == "" {
			err = fs.ErrNotExist
		}
		if err == nil {
			err = r.Run(ctx, "load "+quote(found))
		}
		if err != nil {
			return fmt.Errorf("load extension %s: %w", name, err)
		}
	}
	return nil
}

// Close closes it.
func (r *Reader) Close() error { return r.db.Close() }

// Relation gives the files' live rows as a relation of DuckDB's SQL: what stands between FROM and WHERE. Files must hold some
// data.
func (r *Reader) Relation(ctx context.Context, f Files) (string, error) {
	positions, err := r.positions(ctx, f.Deletes)
	if err != nil {
		return "", err
	}
	var whole, parts []string
	for _, d := range f.Data {
		deletes := positions[d.Path]
		if len(deletes) == 0 {
			whole = append(whole, d.Path)
			continue
		}
		parts = append(parts, fmt.Sprintf(`select * exclude (file_row_number) from read_parquet(%s, hive_partitioning=false, file_row_number=true)
			anti join (select pos from read_parquet(%s) where file_path = %s) on file_row_number = pos`,
			quote(d.Path), list(deletes), quote("file://"+d.Path)))
	}
	if len(whole) > 0 {
		parts = append(parts, "select * from read_parquet("+list(whole)+", hive_partitioning=false)")
	}
	return "(" + strings.Join(parts, " union all ") + ")", nil
}

// positions says which of the delete files name rows of which data file.
func (r *Reader) positions(ctx context.Context, deletes []File) (map[string][]string, error) {
	of := map[string][]string{}
	if len(deletes) == 0 {
		return of, nil
	}
	names := make([]string, len(deletes))
	for i, d := range deletes {
		names[i] = d.Path
	}
	rows, err := r.db.QueryContext(ctx, "select distinct file_path, filename from read_parquet("+list(names)+", filename=true)")
	if err != nil {
		return nil, fmt.Errorf("read position deletes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var data, name string
		if err := rows.Scan(&data, &name); err != nil {
			return nil, fmt.Errorf("read position deletes: %w", err)
		}
		data = strings.TrimPrefix(data, "file://")
		of[data] = append(of[data], name)
	}
	return of, rows.Err()
}

// Row is what tells an entity's state apart from its others.
type Row struct {
	ID  string
	Seq int64
}

// Rows gives the live rows of the files in order of id and seq, which are the names of the columns that hold them.
func (r *Reader) Rows(ctx context.Context, f Files, id, seq string) ([]Row, error) {
	if len(f.Data) == 0 {
		return nil, nil
	}
	relation, err := r.Relation(ctx, f)
	if err != nil {
		return nil, err
	}
	rows, err := r.db.QueryContext(ctx, fmt.Sprintf("select %s, %s from %s order by 1, 2", id, seq, relation))
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		var row Row
		if err := rows.Scan(&row.ID, &row.Seq); err != nil {
			return nil, fmt.Errorf("read rows: %w", err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// Time asks a question and gives the answer as text, and how long it took.
func (r *Reader) Time(ctx context.Context, question string) (answer string, took time.Duration, err error) {
	began := time.Now()
	rows, err := r.db.QueryContext(ctx, question)
	if err != nil {
		return "", 0, fmt.Errorf("ask DuckDB: %w", err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", 0, err
	}
	values, places := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		places[i] = &values[i]
	}
	var lines []string
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return "", 0, err
		}
		lines = append(lines, fmt.Sprintln(values...))
	}
	took = time.Since(began)
	slices.Sort(lines) // the question need not say an order
	return strings.Join(lines, ""), took, rows.Err()
}

// Run runs a statement without an answer.
func (r *Reader) Run(ctx context.Context, statement string) error {
	if _, err := r.db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("ask DuckDB: %w", err)
	}
	return nil
}

// list is a list of texts in SQL.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote is a text in SQL.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
