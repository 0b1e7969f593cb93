package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
)

const (
	// maxImportDetails bounds the list of bad rows in the answer to an import; all of them are counted.
	maxImportDetails = 10_000
	// importPatience is how long a group of rows waits for room in the tenant's queue.
	importPatience = 30 * time.Second
	// importStep is how long as many rows as a group holds may take to arrive and be written.
	importStep = 2 * time.Minute
)

// imported is the answer to an import (interfaces.md 2.12).
type imported struct {
	Success  bool     `json:"success"`
	Imported int      `json:"imported"`
	Replayed int      `json:"replayed,omitempty"` // of those imported: by an earlier call with the same Idempotency-Key
	Errors   int      `json:"errors"`
	Details  []badRow `json:"details"`
	LeftOut  int      `json:"detailsLeftOut,omitempty"`
}

// badRow says why a row was not imported. Rows count from 1.
type badRow struct {
	Row   int          `json:"row"`
	Error string       `json:"error"`
	Code  problem.Code `json:"code"`
	Field string       `json:"field,omitempty"`
}

// importer sends the rows of one import to the store, a group at a time.
type importer struct {
	r          *request
	rows       rows
	preserve   bool   // keep the $id of each row
	key        string // Idempotency-Key; each row has its own, made of it
	row        int
	group      []ingest.Command
	numbers    []int // the row of each command of the group
	answer     imported
	controller *http.ResponseController
}

// importRows: POST /~tenant/import/{noun}, a JSON array, NDJSON or CSV with a header. Good rows are kept whatever becomes
// of the others. Any number of rows is taken in one request; nothing but a group is held.
func importRows(r *request) error {
	if err := r.can("create"); err != nil {
		return err
	}
	v, err := r.values()
	if err != nil {
		return err
	}
	in := &importer{r: r, controller: http.NewResponseController(r.c.Writer)}
	in.answer.Success, in.answer.Details = true, []badRow{}
	if in.preserve, err = flag("preserveIds", v.Get("preserveIds")); err != nil {
		return err
	}
	if in.key, err = r.idempotencyKey(); err != nil {
		return err
	}
	if in.rows, err = r.rows(); err != nil {
		return err
	}
	if err := in.run(); err != nil {
		return in.stopped(err)
	}
	slices.SortStableFunc(in.answer.Details, func(a, b badRow) int { return a.Row - b.Row })
	return r.sendJSON(http.StatusOK, in.answer)
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

// run reads all rows. An error means that nothing was imported, or that a group of rows could not be written.
func (in *importer) run() error {
	for {
		if in.row%in.r.s.cfg.ImportGroup == 0 {
			in.extend()
		}
		body, err := in.rows.next()
		if err == io.EOF {
			return in.flush()
		}
		in.row++
		var bad *badRowError
		switch {
		case errors.As(err, &bad):
			in.refuse(in.row, bad.err)
		case err != nil:
			return in.brokenOff(err)
		default:
			in.add(body)
		}
		if len(in.group) == in.r.s.cfg.ImportGroup {
			if err := in.flush(); err != nil {
				return err
			}
		}
	}
}

// brokenOff ends an import whose rows cannot be read any further. Behind good rows that is an answer, not a failure: they
// stay, and what was not read begins at the last row told.
func (in *importer) brokenOff(err error) error {
	if in.row == 1 {
		return err
	}
	in.refuse(in.row, err)
	in.answer.Success = false
	return in.flush()
}

func (in *importer) add(body entity.Object) {
	cmd := ingest.Command{Op: ingest.OpCreate, Noun: in.r.noun.Name, Body: body, Source: "import", RequestID: in.r.requestID}
	if id, given := body.Get("$id"); given && in.preserve {
		cmd.PreserveID = entity.Unquote(id)
		if !in.fits(cmd.PreserveID) {
			in.refuse(in.row, problem.New(problem.InvalidID, "$id %s is no id of a %s", cut(string(id)), in.r.noun.Name))
			return
		}
	}
	if in.key != "" {
		cmd.IdempotencyKey = in.key + "/" + strconv.Itoa(in.row)
	}
	in.group = append(in.group, cmd)
	in.numbers = append(in.numbers, in.row)
}

// fits reports whether an instance of the noun may have the id: any id but one that is plainly another noun's (1.3).
func (in *importer) fits(id string) bool {
	prefix, _, _ := strings.Cut(id, "_")
	other, known := in.r.s.nouns.ByPrefix(prefix)
	return noun.IsID(id) && (!known || other.Name == in.r.noun.Name)
}

// extend gives the next rows their time: what the server allows a whole request is too little for an import.
func (in *importer) extend() {
	soon := time.Now().Add(importStep)
	_ = in.controller.SetReadDeadline(soon) // a connection that has no deadlines needs none
	_ = in.controller.SetWriteDeadline(soon)
}

// flush writes the group and empties it.
func (in *importer) flush() error {
	if len(in.group) == 0 {
		return nil
	}
	results, err := in.write()
	if err != nil {
		return err
	}
	for i, result := range results {
		if result.Err != nil {
			in.refuse(in.numbers[i], result.Err)
			continue
		}
		in.answer.Imported++
		if result.Replayed {
			in.answer.Replayed++
		}
	}
	clear(in.group)
	in.group, in.numbers = in.group[:0], in.numbers[:0]
	return nil
}

// write gives the group to the store, and again while the tenant's queue is full.
func (in *importer) write() ([]ingest.Result, error) {
	ctx, cancel := context.WithTimeout(in.r.c.Request.Context(), importPatience)
	defer cancel()
	for {
		results, err := in.r.s.store.Do(ctx, in.r.tenant, in.group)
		p, busy := errors.AsType[*problem.Problem](err)
		if !busy || p.Code != problem.Busy {
			return results, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(max(p.RetryAfter, 10*time.Millisecond)):
		}
	}
}

func (in *importer) refuse(row int, err error) {
	in.answer.Errors++
	if len(in.answer.Details) >= maxImportDetails {
		in.answer.LeftOut++
		return
	}
	p := in.r.problem(err)
	in.answer.Details = append(in.answer.Details, badRow{Row: row, Error: rowMessage(p), Code: p.Code, Field: p.Field})
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

// stopped is the failure of an import that ended early, with how far it came.
func (in *importer) stopped(err error) error {
	p := *in.r.problem(err)
	if in.row <= 1 {
		return &p
	}
	p.Message = fmt.Sprintf("%s; the import stopped at row %d: %d rows are imported, %d were refused", p.Message, in.row, in.answer.Imported, in.answer.Errors)
	if len(in.group) > 0 {
		p.Message += fmt.Sprintf(", and of the rows %d to %d it is not known", in.numbers[0], in.numbers[len(in.numbers)-1])
	}
	return &p
}
