package rival

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // DuckDB
)

// Where DuckDB answers statements, which are the bodies of requests.
const (
	NativePath  = "/native"  // over tables of its own
	ParquetPath = "/parquet" // over the files
)

// maxStatementBytes bounds a request to DuckDB.
const maxStatementBytes = 1 << 20

// DuckDB serves relations, given as name=SELECT over files, twice: as native tables that hold the rows in memory from the
// start on, and as views. It answers with a JSON object whose rows are arrays.
func DuckDB(out io.Writer, relations []string) error {
	mux := http.NewServeMux()
	for path, kind := range map[string]string{NativePath: "table", ParquetPath: "view"} {
		db, err := sql.Open("duckdb", "")
		if err != nil {
			return fmt.Errorf("open DuckDB: %w", err)
		}
		defer db.Close()
		db.SetMaxOpenConns(4)
		db.SetMaxIdleConns(4)
		if _, err := db.Exec("set global TimeZone = 'UTC'"); err != nil {
			return fmt.Errorf("open DuckDB: %w", err)
		}
		for _, r := range relations {
			name, rows, _ := strings.Cut(r, "=")
			if _, err := db.Exec("create " + kind + " " + name + " as " + rows); err != nil {
				return fmt.Errorf("make %s in DuckDB: %w", name, err)
			}
		}
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { answerStatement(w, r, db) })
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())
	return http.Serve(listener, mux)
}

// answerStatement runs the body of a request.
func answerStatement(w http.ResponseWriter, r *http.Request, db *sql.DB) {
	rows, err := runStatement(r, db)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := json.Marshal(map[string]any{"rows": rows})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that left needs no answer
}

func runStatement(r *http.Request, db *sql.DB) ([][]any, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxStatementBytes))
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(r.Context(), string(text))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	all := [][]any{}
	for rows.Next() {
		values, places := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		all = append(all, values)
	}
	return all, rows.Err()
}
