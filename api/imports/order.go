package imports

import (
	"errors"
	"slices"
	"strings"

	"headless.ly/api/rows"
	"headless.ly/catalog/problem"
)

// Order says what a file is and what is to be done with its rows. Tenant, Noun and Format are required.
type Order struct {
	Tenant      string      `json:"tenant"`
	Noun        string      `json:"noun"`
	Format      rows.Format `json:"format"`
	PreserveIDs bool        `json:"preserveIds,omitempty"` // keep the $id of each row
	Key         string      `json:"key,omitempty"`         // a unique field: rows that are there already are updated
	Try         bool        `json:"try,omitempty"`         // write nothing, say what would fail

	// IdempotencyKey makes a repetition answer what the first one did.
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	RequestID      string `json:"requestId,omitempty"`
}

// Report is what became of the rows of a file so far.
type Report struct {
	Rows      int      `json:"rows"`      // read
	Imported  int      `json:"imported"`  // that are stored as the file has them; of these
	Updated   int      `json:"updated"`   // were there before and have changed,
	Unchanged int      `json:"unchanged"` // were there before and are as they were,
	Replayed  int      `json:"replayed"`  // were written by an earlier request with the same Idempotency-Key
	Errors    int      `json:"errors"`
	Details   []BadRow `json:"details"`           // of the first maxDetails of these, by row
	LeftOut   int      `json:"leftOut,omitempty"` // how many more there are
	Broken    bool     `json:"broken,omitempty"`  // the file could not be read behind the last of Details
}

// BadRow says why a row was not imported. Rows count from 1.
type BadRow struct {
	Row   int          `json:"row"`
	Error string       `json:"error"`
	Code  problem.Code `json:"code"`
	Field string       `json:"field,omitempty"`
}

// maxDetails bounds the bad rows that a report tells; all of them are counted.
const maxDetails = 10_000

// clone copies a report, so that the details of neither grow into the other's.
func (r Report) clone() Report {
	r.Details = slices.Clip(r.Details)
	return r
}

func (r *Report) refuse(bad ...BadRow) {
	r.Errors += len(bad)
	room := min(len(bad), maxDetails-len(r.Details))
	r.Details = append(r.Details, bad[:room]...)
	r.LeftOut += len(bad) - room
}

// badRow describes a row that was refused.
func (j *Jobs) badRow(row int, err error) BadRow {
	p := j.problem(err)
	return BadRow{Row: row, Error: rowMessage(p), Code: p.Code, Field: p.Field}
}

// problem gives the problem that an error is; one of ours is logged and shown as nothing.
func (j *Jobs) problem(err error) *problem.Problem {
	if p, ok := errors.AsType[*problem.Problem](err); ok && p.Code != problem.Internal {
		return p
	}
	j.cfg.Logger.Error("import", "error", err)
	return problem.New(problem.Internal, "internal error")
}

// rowMessage is a problem in one line: the fields where it has any.
func rowMessage(p *problem.Problem) string {
	if len(p.Details) == 0 {
		return p.Message
	}
	parts := make([]string, 0, len(p.Details))
	for _, d := range p.Details {
		if d.Message == "required" {
			parts = append(parts, d.Field+" is required")
			continue
		}
		parts = append(parts, d.Field+": "+d.Message)
	}
	return strings.Join(parts, "; ")
}
