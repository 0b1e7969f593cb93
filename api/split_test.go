package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"headless.ly/api/client"
	"headless.ly/catalog/noun"
)

// counter answers an import as the service does, but for writing: it counts the rows that the service would read.
type counter struct {
	noun *noun.Noun
	rows int
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	body := &rowReader{r: req.Body, limit: 10 << 20}
	body.nextRow()
	var source rows
	var err error
	if req.Header.Get("Content-Type") == "text/csv" {
		source, err = newTableRows(c.noun, body)
	} else {
		source = newLineRows(body)
	}
	var sum struct {
		Imported int `json:"imported"`
	}
	for err == nil {
		_, err = source.next()
		if _, bad := errors.AsType[*badRowError](err); err == nil || bad {
			sum.Imported++
			err = nil
		}
	}
	if !errors.Is(err, io.EOF) {
		return &http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(strings.NewReader(`{"error":"invalid_body"}`))}, nil
	}
	c.rows += sum.Imported
	answer, err := json.Marshal(sum)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer))}, err
}

// FuzzSplit: however a file is cut into parts, the service finds the rows that the client counted, and as many as in one
// part.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{"name\na\nb\n", "name,x\r\n\"a\nb\",1\r\n\r\nc\"d,2\n", "name\n\"", "\uFEFFname\n\n\na", "{\"a\":1}\n\n2\n{", "a\r\r\n\"b\"\"c\"\n"} {
		f.Add(text, 1, true)
		f.Add(text, 3, false)
	}
	n, _ := noun.Core().Get("Contact")
	f.Fuzz(func(t *testing.T, text string, partRows int, table bool) {
		format := client.NDJSON
		if table {
			format = client.CSV
		}
		var found [2]int
		for i, most := range []int{1 + max(0, partRows)%5, 1 << 20} {
			c := &counter{noun: n}
			cl, err := client.New(client.Config{HTTP: &http.Client{Transport: c}})
			if err != nil {
				t.Fatal(err)
			}
			sum, err := cl.Import(t.Context(), client.Import{Type: "Contact", Format: format, PartRows: most}, strings.NewReader(text))
			if err != nil && strings.Contains(err.Error(), "the server counted") || err == nil && sum.Rows != c.rows {
				t.Fatalf("%q by %d: %+v, %d rows, %v", text, most, sum, c.rows, err)
			}
			if err != nil {
				return // no import at all
			}
			found[i] = c.rows
		}
		if found[0] != found[1] {
			t.Fatalf("%q: %d rows in parts, %d in one", text, found[0], found[1])
		}
	})
}
