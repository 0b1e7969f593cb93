package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headless.ly/api/imports"
	"headless.ly/api/rows"
	"headless.ly/catalog/problem"
)

// importStep is how long a part of an import's body may take to arrive, or a group of rows to be written: what the server allows
// a whole request is too little for an import.
const importStep = 2 * time.Minute

// imported is the answer to an import, and the end of what a job tells (interfaces.md 2.12).
type imported struct {
	Success   bool             `json:"success"`
	Imported  int              `json:"imported"`
	Updated   int              `json:"updated,omitempty"`   // of those imported: the key's value was there, and the row has changed it
	Unchanged int              `json:"unchanged,omitempty"` // of those imported: the key's value was there, as the row has it
	Replayed  int              `json:"replayed,omitempty"`  // of those imported: by an earlier call with the same Idempotency-Key
	Errors    int              `json:"errors"`
	Details   []imports.BadRow `json:"details"`
	LeftOut   int              `json:"detailsLeftOut,omitempty"`
	DryRun    bool             `json:"dryRun,omitempty"`
}

func newImported(o imports.Order, r imports.Report) imported {
	return imported{
		Success: !r.Broken, Imported: r.Imported, Updated: r.Updated, Unchanged: r.Unchanged, Replayed: r.Replayed,
		Errors: r.Errors, Details: r.Details, LeftOut: r.LeftOut, DryRun: o.Try,
	}
}

// started is the answer to an import that has become a job.
type started struct {
	Job    string         `json:"job"`
	Status imports.Status `json:"status"`
}

// importRows: POST /~tenant/import/{noun}, a JSON array, NDJSON, CSV with a header or Parquet. The body is received as a whole
// before its first row is read: one that breaks off imports nothing. A few rows are imported at once, a larger file by a job.
func importRows(r *request) error {
	if err := r.can("create"); err != nil {
		return err
	}
	o, err := r.importOrder()
	if err != nil {
		return err
	}
	controller := http.NewResponseController(r.c.Writer)
	extend := func() {
		soon := time.Now().Add(importStep)
		_ = controller.SetReadDeadline(soon) // a connection that has no deadlines needs none
		_ = controller.SetWriteDeadline(soon)
	}
	file, err := r.s.imports.Receive(r.c.Request.Body, extend)
	if err != nil {
		return err
	}
	defer file.Close() // what it leaves is removed at the next start
	large, err := r.s.imports.Large(o, file)
	if err != nil {
		return err
	}
	if large {
		job, err := r.s.imports.Start(o, file)
		if err != nil {
			return err
		}
		r.c.Writer.Header().Set("Location", jobPath(job))
		return r.sendJSON(http.StatusAccepted, started{Job: job.ID, Status: job.Status})
	}
	report, err := r.s.imports.Run(r.c.Request.Context(), o, file, extend)
	if err != nil {
		return err
	}
	return r.sendJSON(http.StatusOK, newImported(o, report))
}

// importOrder reads what an import is asked.
func (r *request) importOrder() (o imports.Order, err error) {
	v, err := r.values()
	if err != nil {
		return o, err
	}
	o = imports.Order{Tenant: r.tenant, Noun: r.noun.Name, Key: v.Get("key"), RequestID: r.requestID}
	if o.PreserveIDs, err = flag("preserveIds", v.Get("preserveIds")); err != nil {
		return o, err
	}
	if o.Try, err = flag("dryRun", v.Get("dryRun")); err != nil {
		return o, err
	}
	if o.IdempotencyKey, err = r.idempotencyKey(); err != nil {
		return o, err
	}
	if coding := r.header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return o, problem.New(problem.UnsupportedMediaType, "the body is encoded as %q; send it as it is", cut(coding))
	}
	format, ok := rows.FormatOf(mediaType(r.header("Content-Type")))
	if !ok {
		return o, problem.New(problem.UnsupportedMediaType, "an import is application/json (an array), application/x-ndjson, text/csv or "+
			"application/vnd.apache.parquet, not %q", cut(r.header("Content-Type")))
	}
	o.Format = format
	return o, nil
}

func flag(name, text string) (bool, error) {
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		p := problem.New(problem.InvalidRequest, "%s is true or false", name)
		p.Field = name
		return false, p
	}
	return on, nil
}

// jobAnswer is a job as it is told. While it runs the refused rows are counted; when it has ended they are listed.
type jobAnswer struct {
	started
	Kind     string  `json:"kind"` // import
	Type     string  `json:"type"`
	Rows     int     `json:"rows"`     // read
	Bytes    int64   `json:"bytes"`    // of the file
	Progress float64 `json:"progress"` // 0 to 1

	RowsPerSecond float64 `json:"rowsPerSecond,omitempty"` // lately
	SecondsLeft   float64 `json:"secondsLeft,omitempty"`   // at this rate

	imported
	Failure *failure `json:"failure,omitempty"` // why it failed, or does not go on at the moment

	CreatedAt  time.Time  `json:"createdAt"`
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
}

func jobPath(job imports.Job) string {
	return fmt.Sprintf("/~%s/jobs/%s", job.Order.Tenant, job.ID)
}

// tellJob describes a job; brief: without the list of refused rows.
func (r *request) tellJob(job imports.Job, brief bool) jobAnswer {
	a := jobAnswer{
		started: started{Job: job.ID, Status: job.Status}, Kind: "import", Type: job.Order.Noun, Rows: job.Report.Rows, Bytes: job.Bytes,
		imported: newImported(job.Order, job.Report), CreatedAt: job.Created, StartedAt: job.Started, FinishedAt: job.Finished,
	}
	a.Success = job.Status == imports.Done
	if job.Status == imports.Done {
		a.Progress = 1
	} else if job.Bytes > 0 {
		a.Progress = min(1, float64(job.Read)/float64(job.Bytes))
	}
	if job.Status == imports.Running && job.PerSecond > 0 && a.Progress > 0 {
		a.RowsPerSecond = job.PerSecond
		a.SecondsLeft = float64(job.Report.Rows) * (1/a.Progress - 1) / job.PerSecond
	}
	if brief || !job.Status.Ended() {
		a.LeftOut += len(a.Details)
		a.Details = []imports.BadRow{}
	}
	if p := job.Trouble; p != nil {
		a.Failure = &failure{Error: p.Code, Message: p.Message, Type: p.Type, Field: p.Field, RequestID: job.Order.RequestID}
	}
	return a
}

// getJob: GET /~tenant/jobs/{id}
func getJob(r *request) error {
	job, err := r.s.imports.Get(r.tenant, r.id)
	if err != nil {
		return err
	}
	return r.sendJSON(http.StatusOK, r.tellJob(job, false))
}

// listJobs: GET /~tenant/jobs, the newest first
func listJobs(r *request) error {
	all, err := r.s.imports.List(r.tenant)
	if err != nil {
		return err
	}
	out := struct {
		Results []jobAnswer `json:"results"`
		Total   int         `json:"total"`
	}{[]jobAnswer{}, len(all)}
	for _, job := range all {
		out.Results = append(out.Results, r.tellJob(job, true))
	}
	return r.sendJSON(http.StatusOK, out)
}

// cancelJob: DELETE /~tenant/jobs/{id}. The rows that are written stay.
func cancelJob(r *request) error {
	job, err := r.s.imports.Cancel(r.c.Request.Context(), r.tenant, r.id)
	if err != nil {
		return err
	}
	return r.sendJSON(http.StatusOK, r.tellJob(job, false))
}
