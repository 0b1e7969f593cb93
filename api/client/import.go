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
	"sync"
	"time"
)

// Format is how the rows of an import or export are written.
type Format string

// The formats of imports and exports. CSV begins with a header row.
const (
	CSV     Format = "csv"
	NDJSON  Format = "ndjson"
	JSON    Format = "json" // one array
	Parquet Format = "parquet"
)

// contentTypes are what imports call themselves.
var contentTypes = map[Format]string{
	CSV: "text/csv", NDJSON: "application/x-ndjson", JSON: "application/json", Parquet: "application/vnd.apache.parquet",
}

// Import says what Client.Import sends. Type and Format are required; the zero value of everything else means the
// default in its comment.
type Import struct {
	Type        string
	Format      Format
	Key         string // a unique field: a row whose value of it is there already updates that entity
	DryRun      bool   // write nothing, say what would fail
	PreserveIDs bool   // keep the $id of each row: for migrations by operators

	Poll time.Duration // 200 ms between two looks at a job

	Sent     func(bytes int64) // called while the file is sent, with what is; it begins anew when the file is sent again
	Progress func(Progress)    // called while a job works on the file
	Bad      func(BadRow)      // called for each row that was refused, in order, when the import has ended
}

// Progress is how far a job is.
type Progress struct {
	Job         string        `json:"job"`
	Status      string        `json:"status"` // waiting, running, done, failed or cancelled
	Rows        int           `json:"rows"`
	Progress    float64       `json:"progress"` // 0 to 1
	PerSecond   float64       `json:"rowsPerSecond"`
	SecondsLeft float64       `json:"secondsLeft"` // 0: not known
	Failure     *Error        `json:"failure"`     // why it does not go on at the moment, or has failed
	Left        time.Duration `json:"-"`
}

// BadRow is a row that was refused. Rows count from 1; the header of a CSV file is none.
type BadRow struct {
	Row     int    `json:"row"`
	Message string `json:"error"`
}

// Summary is what became of the rows.
type Summary struct {
	Rows      int
	Imported  int // they are there; of these
	Updated   int // have changed what was there,
	Unchanged int // were there as they are
	Refused   int
	Untold    int    // of the refused: not told to Import.Bad, because they are too many
	Job       string // that did it, if one did
}

// importAnswer is what an import answers, or a job tells.
type importAnswer struct {
	Progress
	Success   *bool    `json:"success"`
	Imported  int      `json:"imported"`
	Updated   int      `json:"updated"`
	Unchanged int      `json:"unchanged"`
	Errors    int      `json:"errors"`
	Details   []BadRow `json:"details"`
	LeftOut   int      `json:"detailsLeftOut"`
}

// Import sends all rows of r and waits until the server has written them. Good rows are written whatever becomes of the
// others; refused ones are told to in.Bad and are no error. If the answer is lost and r is an io.Seeker, r is sent again under the
// same idempotency key, so that no row comes twice. An error while a job runs means that its end was not seen: it goes on.
func (c *Client) Import(ctx context.Context, in Import, r io.Reader) (Summary, error) {
	kind, ok := contentTypes[in.Format]
	if !ok {
		return Summary{}, fmt.Errorf("there is no import format %q", in.Format)
	}
	if in.Poll <= 0 {
		in.Poll = 200 * time.Millisecond
	}
	query := url.Values{}
	for name, on := range map[string]bool{"preserveIds": in.PreserveIDs, "dryRun": in.DryRun} {
		if on {
			query.Set(name, "true")
		}
	}
	if in.Key != "" {
		query.Set("key", in.Key)
	}
	call := Call{
		Method: http.MethodPost, Path: "/import/" + url.PathEscape(in.Type), Query: query, ContentType: kind,
		IdempotencyKey: "import-" + rand.Text(), stream: &counted{r: r, sent: in.Sent},
	}
	body, err := c.Do(ctx, call)
	if err != nil {
		return Summary{}, err
	}
	a, err := readImport(body)
	if err == nil && a.Job != "" {
		a, err = c.follow(ctx, in, a)
	}
	if err != nil {
		return Summary{Job: a.Job}, err
	}
	sum := Summary{
		Rows: a.Imported + a.Errors, Imported: a.Imported, Updated: a.Updated, Unchanged: a.Unchanged, Refused: a.Errors,
		Untold: a.LeftOut, Job: a.Job,
	}
	if in.Bad != nil {
		for _, bad := range a.Details {
			in.Bad(bad)
		}
	}
	if a.Failure != nil {
		return sum, a.Failure
	}
	if a.Success != nil && !*a.Success {
		return sum, errors.New("the import did not come to its end")
	}
	return sum, nil
}

func readImport(body []byte) (a importAnswer, err error) {
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("read answer: %w", err)
	}
	a.Left = time.Duration(a.SecondsLeft * float64(time.Second))
	return a, nil
}

// follow waits for the end of a job.
func (c *Client) follow(ctx context.Context, in Import, a importAnswer) (importAnswer, error) {
	id := a.Job
	for {
		body, err := c.Do(ctx, Call{Path: "/jobs/" + url.PathEscape(id)})
		if err == nil {
			a, err = readImport(body)
		}
		if err != nil {
			a.Job = id
			return a, fmt.Errorf("look at %s, which goes on: %w", id, err)
		}
		if in.Progress != nil {
			in.Progress(a.Progress)
		}
		switch a.Status {
		case "done", "failed", "cancelled":
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("wait for %s, which goes on: %w", id, ctx.Err())
		case <-time.After(in.Poll):
		}
	}
}

// counted is a body that tells how much of it has been read, and can be sent again.
type counted struct {
	r    io.Reader
	n    int64
	sent func(int64)
	done chan struct{} // closed when it is not read any more
}

// begin begins to send it.
func (c *counted) begin() io.ReadCloser {
	c.done = make(chan struct{})
	return &countedOnce{counted: c}
}

// countedOnce is one attempt to send it.
type countedOnce struct {
	*counted
	once sync.Once
}

func (c *countedOnce) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.sent != nil && n > 0 {
		c.sent(c.n)
	}
	return n, err
}

func (c *countedOnce) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// again goes back to the start, when the attempt before has let go of it; false if that is not possible.
func (c *counted) again() bool {
	<-c.done // the HTTP client closes every body
	if c.n == 0 {
		return true
	}
	seeker, ok := c.r.(io.Seeker)
	if !ok {
		return false
	}
	_, err := seeker.Seek(0, io.SeekStart)
	c.n = 0
	return err == nil
}
