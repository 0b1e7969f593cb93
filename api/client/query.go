package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Query is one SQL statement that reads. The zero value of a field means the server's default.
type Query struct {
	SQL     string
	Args    []any          // of ? and $1
	Named   map[string]any // of $name
	AsOf    string         // an instant, a date, or like 7d ago
	Strong  bool
	Limit   int
	Timeout time.Duration
	Whole   bool // a result that is too large is an error, rather than cut off
}

// body is the query as the server reads it.
func (q Query) body() ([]byte, error) {
	members := map[string]any{"sql": q.SQL}
	if q.Args != nil {
		members["params"] = q.Args
	}
	if q.Named != nil {
		members["params"] = q.Named
	}
	if q.AsOf != "" {
		members["asOf"] = q.AsOf
	}
	if q.Strong {
		members["strong"] = true
	}
	if q.Limit > 0 {
		members["limit"] = q.Limit
	}
	if q.Timeout > 0 {
		members["timeoutMs"] = max(1, q.Timeout.Milliseconds())
	}
	if q.Whole {
		members["truncate"] = false
	}
	return json.Marshal(members)
}

// Column is one column of a result, its type as DuckDB spells it.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Rows are the result of a query. Numbers are json.Number.
type Rows struct {
	Columns   []Column `json:"columns"`
	Rows      [][]any  `json:"rows"`
	Truncated bool     `json:"truncated"` // there were more rows than the limit
	Seq       int64    `json:"seq"`
	ElapsedMS float64  `json:"elapsedMs"`
}

// Query runs a statement and gives its rows.
func (c *Client) Query(ctx context.Context, q Query) (Rows, error) {
	body, err := c.QueryAs(ctx, q, "application/json")
	if err != nil {
		return Rows{}, err
	}
	var rows Rows
	err = decode(body, &rows)
	return rows, err
}

// QueryAs runs a statement and gives the result in a format of the server: text/csv, application/x-ndjson,
// application/vnd.apache.arrow.stream, application/vnd.apache.parquet. It is held in memory whole.
func (c *Client) QueryAs(ctx context.Context, q Query, format string) ([]byte, error) {
	body, err := q.body()
	if err != nil {
		return nil, fmt.Errorf("write query: %w", err)
	}
	return c.Do(ctx, Call{Method: http.MethodPost, Path: "/sql", Body: body, Accept: format, Repeatable: true})
}

// Aggregation is the result of an aggregate: an object for each group. Numbers are json.Number.
type Aggregation struct {
	Results   []map[string]any `json:"results"`
	Truncated bool             `json:"truncated"`
	Seq       int64            `json:"seq"`
}

// Aggregate computes metrics of the entities of a type. body is what the server documents: filter, groupBy, metrics …
func (c *Client) Aggregate(ctx context.Context, kind string, body any) (Aggregation, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Aggregation{}, fmt.Errorf("write aggregate: %w", err)
	}
	call := Call{Method: http.MethodPost, Path: "/" + url.PathEscape(kind) + "/aggregate", Body: text, Repeatable: true}
	answer, err := c.Do(ctx, call)
	if err != nil {
		return Aggregation{}, err
	}
	var out Aggregation
	err = decode(answer, &out)
	return out, err
}

// decode reads an answer, numbers as they are spelled.
func decode(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}
