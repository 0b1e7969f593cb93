package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Export says what Client.Export asks for. Type and Format are required.
type Export struct {
	Type   string
	Format Format
	Filter string   // JSON, as of a list; "": all
	Fields []string // nil: all
	AsOf   string   // an instant; "": now
	Excel  bool     // of CSV: no text that a spreadsheet would compute
}

// Export writes all entities that match to w, and gives how many bytes they took. An error means that what was written is not the
// whole.
func (c *Client) Export(ctx context.Context, e Export, w io.Writer) (int64, error) {
	query := url.Values{"format": {string(e.Format)}}
	for name, value := range map[string]string{"filter": e.Filter, "asOf": e.AsOf, "fields": strings.Join(e.Fields, ",")} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if e.Excel {
		query.Set("excel", "true")
	}
	req, err := c.request(ctx, Call{Method: http.MethodGet, Path: "/export/" + url.PathEscape(e.Type), Query: query})
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err // a *url.Error names the method and the address
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, fmt.Errorf("read answer of %s: %w", e.Type, err)
		}
		return 0, readError(resp, body)
	}
	n, err := io.Copy(w, resp.Body)
	if err != nil {
		return n, fmt.Errorf("export of %s: %w", e.Type, err)
	}
	return n, nil
}
