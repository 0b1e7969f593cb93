package client_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"headless.ly/api/client"
)

// fake is a server that takes rows: it counts them as the real one does and refuses those that hold "bad".
type fake struct {
	t     *testing.T
	keys  map[string]bool
	rows  []string
	parts int
	fail  int // so many answers are lost after the rows were taken
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/~birch/import/Contact" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	rows := f.read(r.Header.Get("Content-Type"), body)
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		f.t.Error("a part without an idempotency key")
	}
	if !f.keys[key] {
		f.keys[key] = true
		f.parts++
		f.rows = append(f.rows, rows...)
	}
	if f.fail > 0 {
		f.fail--
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":"outcome_unknown","message":"who knows"}`)
		return
	}
	answer := map[string]any{"success": true}
	details := []map[string]any{}
	for i, row := range rows {
		if strings.Contains(row, "bad") {
			details = append(details, map[string]any{"row": i + 1, "error": "it is bad"})
		}
	}
	answer["imported"], answer["errors"], answer["details"] = len(rows)-len(details), len(details), details
	json.NewEncoder(w).Encode(answer)
}

func (f *fake) read(contentType string, body []byte) []string {
	var rows []string
	if contentType == "text/csv" {
		r := csv.NewReader(bytes.NewReader(body))
		r.FieldsPerRecord = -1
		for {
			record, err := r.Read()
			if err == io.EOF {
				return rows[1:]
			}
			if err != nil {
				record = []string{"bad"}
			}
			rows = append(rows, strings.Join(record, "|"))
		}
	}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		rows = append(rows, lines.Text())
	}
	return rows
}

func newFake(t *testing.T) (*fake, *client.Client) {
	f := &fake{t: t, keys: map[string]bool{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Endpoint: srv.URL + "/", Tenant: "birch"})
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

func TestImport(t *testing.T) {
	for _, c := range []struct {
		name   string
		format client.Format
		text   string
		rows   []string
		bad    []int
	}{
		{"csv", client.CSV, "\uFEFFname,n\r\na,1\r\n\r\n\"b\nc\",2\r\nbad,3\r\nd,4\r\ne\"x,5\r\nf,6", []string{"a|1", "b\nc|2", "bad|3", "d|4", "bad", "f|6"}, []int{3, 5}},
		{"csv that is a header", client.CSV, "name,n", nil, nil},
		{"csv that breaks off", client.CSV, "name\na\nb\n\"c\nd\n", []string{"a", "b", "bad"}, []int{3}},
		{"ndjson", client.NDJSON, "{\"a\":1}\n\n  \nbad\n{\"b\":\n{\"c\":3}", []string{`{"a":1}`, "bad", `{"b":`, `{"c":3}`}, []int{2}},
		{"array", client.JSON, "[ {\"a\": 1},\n {\"bad\": 2}, [3], 9007199254740993 ]", []string{`{"a":1}`, `{"bad":2}`, `[3]`, "9007199254740993"}, []int{2}},
		{"empty array", client.JSON, "[]", nil, nil},
	} {
		for _, partRows := range []int{1, 2, 3, 100} {
			t.Run(fmt.Sprintf("%s by %d", c.name, partRows), func(t *testing.T) {
				f, cl := newFake(t)
				f.fail = 1
				var bad []int
				var sent int64
				sum, err := cl.Import(t.Context(), client.Import{
					Type: "Contact", Format: c.format, PartRows: partRows,
					Bad:  func(b client.BadRow) { bad = append(bad, b.Row) },
					Sent: func(_ int, bytes int64) { sent = bytes },
				}, strings.NewReader(c.text))
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(f.rows) != fmt.Sprint(c.rows) || fmt.Sprint(bad) != fmt.Sprint(c.bad) {
					t.Errorf("rows %q bad %v, want %q %v", f.rows, bad, c.rows, c.bad)
				}
				if sum.Rows != len(c.rows) || sum.Refused != len(c.bad) || sum.Imported != sum.Rows-sum.Refused {
					t.Errorf("summary %+v", sum)
				}
				if want := (len(c.rows) + partRows - 1) / partRows; f.parts != want {
					t.Errorf("%d parts, want %d", f.parts, want)
				}
				if sent > int64(len(c.text))+1 {
					t.Errorf("%d bytes sent of %d", sent, len(c.text))
				}
			})
		}
	}
}

func TestImportThatBreaksOff(t *testing.T) {
	f, c := newFake(t)
	sum, err := c.Import(t.Context(), client.Import{Type: "Contact", Format: client.JSON}, strings.NewReader(`[{"a":1},{"b":2},{"c"`))
	if err == nil || sum.Imported != 2 || len(f.rows) != 2 || !strings.Contains(err.Error(), "row 3") {
		t.Errorf("%+v %v, rows %q", sum, err, f.rows)
	}
}

func TestErrors(t *testing.T) {
	_, c := newFake(t)
	_, err := c.Do(t.Context(), client.Call{Path: "/nowhere"})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != 404 || e.Code != "http_404" {
		t.Errorf("%v", err)
	}
	for _, endpoint := range []string{"localhost:8787", "ftp://x", "http://"} {
		if _, err := client.New(client.Config{Endpoint: endpoint}); err == nil {
			t.Errorf("%s was taken", endpoint)
		}
	}
}

// TestRepeat: a write without a key is sent once; a read is sent again until patience ends.
func TestRepeat(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		if calls < 3 {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"error":"busy","message":"later"}`)
			return
		}
		fmt.Fprint(w, `{}`)
	}))
	defer srv.Close()
	c, err := client.New(client.Config{Endpoint: srv.URL, Patience: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), client.Call{Method: http.MethodPost, Path: "/Contact", Body: []byte("{}")}); err == nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if _, err := c.Do(t.Context(), client.Call{Path: "/Contact"}); err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = -1000
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Do(short, client.Call{Path: "/Contact"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
