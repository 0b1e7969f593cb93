package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Format is how the rows of an import are written.
type Format string

// The formats that Import reads. CSV begins with a header row.
const (
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
	JSON   Format = "json" // one array
)

// Import says what Client.Import sends. Type and Format are required; the zero value of everything else means the
// default in its comment.
type Import struct {
	Type        string
	Format      Format
	PreserveIDs bool // keep the $id of each row: for migrations by operators

	PartRows  int // 500 rows are sent together
	PartBytes int // 4 MB are sent together; a longer row goes alone

	Sent func(rows int, bytes int64) // called after each part with what has been read so far
	Bad  func(BadRow)                // called for each row that was refused, in order
}

// BadRow is a row that was refused. Rows count from 1; the header of a CSV file is none.
type BadRow struct {
	Row     int    `json:"row"`
	Message string `json:"error"`
}

// Summary is what became of the rows.
type Summary struct {
	Rows     int
	Imported int
	Refused  int
}

// Import sends all rows of r in parts, in order. Good rows stay imported whatever becomes of the others; refused ones are
// told to in.Bad and are no error. An error means that the rest was not sent. A part whose answer was lost is sent again
// under the same idempotency key, so that no row comes twice.
func (c *Client) Import(ctx context.Context, in Import, r io.Reader) (Summary, error) {
	if in.PartRows <= 0 {
		in.PartRows = 500
	}
	if in.PartBytes <= 0 {
		in.PartBytes = 4 << 20
	}
	var sum Summary
	parts, err := split(in, r)
	if err != nil {
		return sum, err
	}
	run := rand.Text()
	for number := 1; ; number++ {
		part, err := parts.next()
		if part.rows > 0 {
			if sendErr := c.sendPart(ctx, in, part, fmt.Sprintf("import-%s-%d", run, number), &sum); sendErr != nil {
				return sum, fmt.Errorf("rows %d to %d: %w", sum.Rows+1, sum.Rows+part.rows, sendErr)
			}
			sum.Rows += part.rows
			if in.Sent != nil {
				in.Sent(sum.Rows, parts.read())
			}
		}
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return sum, fmt.Errorf("row %d: %w", sum.Rows+1, err)
		}
	}
}

func (c *Client) sendPart(ctx context.Context, in Import, p part, key string, sum *Summary) error {
	query := url.Values{}
	if in.PreserveIDs {
		query.Set("preserveIds", "true")
	}
	body, err := c.Do(ctx, Call{
		Method: http.MethodPost, Path: "/import/" + url.PathEscape(in.Type), Query: query,
		Body: p.body, ContentType: p.contentType, IdempotencyKey: key,
	})
	if err != nil {
		return err
	}
	var answer struct {
		Imported int      `json:"imported"`
		Errors   int      `json:"errors"`
		Details  []BadRow `json:"details"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if got := answer.Imported + answer.Errors; got != p.rows {
		return fmt.Errorf("the server counted %s rows, not %s", strconv.Itoa(got), strconv.Itoa(p.rows))
	}
	sum.Imported += answer.Imported
	sum.Refused += answer.Errors
	if in.Bad != nil {
		for _, bad := range answer.Details {
			bad.Row += sum.Rows
			in.Bad(bad)
		}
	}
	return nil
}
