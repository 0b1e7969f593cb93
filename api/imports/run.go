package imports

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"headless.ly/api/rows"
	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
)

const (
	// patience is how long a group of rows waits for room in the tenant's queue.
	patience = 30 * time.Second
	// groupsAhead is how many groups of rows are read while one is written.
	groupsAhead = 2
	// maxTried bounds the unique values that a trial remembers, to find those that the file itself has twice: 100 MB.
	maxTried = 2_000_000
)

// group is rows that are written together.
type group struct {
	commands []ingest.Command
	numbers  []int    // the row of each
	bad      []BadRow // rows that cannot be read
	last     int      // the last row read
	read     int64    // bytes of the file
	broken   bool     // the file cannot be read behind it
	err      error    // instead of everything else: the file cannot be read at all
}

// source reads groups of rows, on a goroutine of its own.
type source struct {
	jobs   *Jobs
	noun   *noun.Noun
	order  Order
	rows   rows.Reader
	after  int              // rows that are not wanted any more
	landed map[int]struct{} // nor are these
	stamp  string           // of a job: what the request ids of its rows begin with
}

// send reads all rows and sends them by groups, until the context ends.
func (s *source) send(ctx context.Context, to chan<- *group) {
	defer close(to)
	g := &group{}
	for row := 1; ; row++ {
		body, err := s.rows.Next()
		var bad *rows.BadRow
		switch {
		case err == io.EOF:
			s.pass(ctx, to, g)
			return
		case err != nil && !errors.As(err, &bad):
			if row == 1 {
				s.pass(ctx, to, &group{err: err})
				return
			}
			g.bad, g.last, g.broken = append(g.bad, s.jobs.badRow(row, err)), row, true
			s.pass(ctx, to, g)
			return
		}
		if row <= s.after {
			continue
		}
		g.last, g.read = row, s.rows.Read()
		if _, done := s.landed[row]; done {
			continue
		}
		if bad != nil {
			g.bad = append(g.bad, s.jobs.badRow(row, bad.Err))
		} else {
			s.add(g, row, body)
		}
		if len(g.commands)+len(g.bad) >= s.jobs.cfg.Group {
			if !s.pass(ctx, to, g) {
				return
			}
			g = &group{}
		}
	}
}

func (s *source) pass(ctx context.Context, to chan<- *group, g *group) bool {
	select {
	case to <- g:
		return true
	case <-ctx.Done():
		return false
	}
}

// add makes the command of a row.
func (s *source) add(g *group, row int, body entity.Object) {
	cmd := ingest.Command{Op: ingest.OpCreate, Noun: s.noun.Name, Body: body, Key: s.order.Key, Source: "import", RequestID: s.order.RequestID}
	if id, given := body.Get("$id"); given && s.order.PreserveIDs {
		cmd.PreserveID = entity.Unquote(id)
		if !s.fits(cmd.PreserveID) {
			g.bad = append(g.bad, s.jobs.badRow(row, problem.New(problem.InvalidID, "$id %.80s is no id of a %s", string(id), s.noun.Name)))
			return
		}
	}
	switch {
	case s.stamp != "":
		cmd.RequestID = s.stamp + strconv.Itoa(row)
	case s.order.IdempotencyKey != "":
		cmd.IdempotencyKey = s.order.IdempotencyKey + "/" + strconv.Itoa(row)
	}
	g.commands = append(g.commands, cmd)
	g.numbers = append(g.numbers, row)
}

// fits reports whether an instance of the noun may have the id: any id but one that is plainly another noun's (1.3).
func (s *source) fits(id string) bool {
	prefix, _, _ := strings.Cut(id, "_")
	other, known := s.jobs.cfg.Nouns.ByPrefix(prefix)
	return noun.IsID(id) && (!known || other.Name == s.noun.Name)
}

// writer writes groups and keeps the report.
type writer struct {
	jobs   *Jobs
	noun   *noun.Noun
	order  Order
	report Report

	seed  maphash.Seed // of a trial
	tried map[uint64]int
}

// each writes the groups that come; after each one it calls done. An error means that what became of the last group is not
// known.
func (w *writer) each(ctx context.Context, groups <-chan *group, done func(*group) error) error {
	for g := range groups {
		if g.err != nil {
			return g.err
		}
		if err := w.write(ctx, g); err != nil {
			return err
		}
		if err := done(g); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// write writes one group and accounts for it.
func (w *writer) write(ctx context.Context, g *group) error {
	if len(g.commands) > 0 {
		results, err := w.do(ctx, g.commands)
		if err != nil {
			return &stopped{err: err, first: g.numbers[0], last: g.numbers[len(g.numbers)-1]}
		}
		for i, result := range results {
			if w.order.Try && result.Err == nil {
				result.Err = w.again(g.numbers[i], result)
			}
			if result.Err != nil {
				g.bad = append(g.bad, w.jobs.badRow(g.numbers[i], result.Err))
				continue
			}
			w.count(result)
		}
		slices.SortFunc(g.bad, func(a, b BadRow) int { return a.Row - b.Row })
	}
	w.report.Rows = max(w.report.Rows, g.last)
	w.report.Broken = g.broken
	w.report.refuse(g.bad...)
	return nil
}

func (w *writer) count(r ingest.Result) {
	w.report.Imported++
	switch {
	case r.Unchanged:
		w.report.Unchanged++
	case r.Replayed:
		w.report.Replayed++
	case r.Event.Verb == string(ingest.OpUpdate):
		w.report.Updated++
	}
}

// again finds a unique value that an earlier row of the same trial has: the store tries each group by itself. With a key, the
// later row would update what the earlier one made.
func (w *writer) again(row int, r ingest.Result) error {
	if r.Event == nil {
		return nil
	}
	doc, err := entity.ParseStored(r.Event.Data)
	if err != nil {
		return err
	}
	if w.tried == nil {
		w.tried, w.seed = map[uint64]int{}, maphash.MakeSeed()
	}
	for _, f := range w.noun.Uniques() {
		v, _ := doc.Get(f.Name)
		if entity.IsNull(v) || f.Name == w.order.Key {
			continue
		}
		value := maphash.String(w.seed, f.Name+"\x00"+string(v))
		if first, taken := w.tried[value]; taken && first != row {
			p := problem.New(problem.Conflict, "row %d has this %s", first, f.Name)
			p.Field = f.Name
			return p
		}
		if len(w.tried) >= maxTried {
			return problem.New(problem.LimitExceeded, "a trial compares at most %d unique values; try the file in parts", maxTried)
		}
		w.tried[value] = row
	}
	return nil
}

// do gives commands to the store, and again while the tenant's queue is full.
func (w *writer) do(ctx context.Context, commands []ingest.Command) ([]ingest.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	do := w.jobs.cfg.Store.Do
	if w.order.Try {
		do = w.jobs.cfg.Store.Try
	}
	for {
		results, err := do(ctx, w.order.Tenant, commands)
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

// stopped is the error of a group of which it is not known what became.
type stopped struct {
	err         error
	first, last int
}

func (e *stopped) Error() string {
	return fmt.Sprintf("write rows %d to %d: %v", e.first, e.last, e.err)
}
func (e *stopped) Unwrap() error { return e.err }

// checkOrder refuses what can be refused before the first row.
func (j *Jobs) checkOrder(o Order) (*noun.Noun, error) {
	n, ok := j.cfg.Nouns.Get(o.Noun)
	if !ok {
		return nil, problem.New(problem.NotFound, "there is no entity type %q", o.Noun)
	}
	if o.Key == "" {
		return n, nil
	}
	unique := func(f *noun.Field) bool { return f.Name == o.Key }
	if !slices.ContainsFunc(n.Uniques(), unique) {
		p := problem.New(problem.InvalidRequest, "%s has no unique field %.80q to be the key", n.Name, o.Key)
		p.Type, p.Field = n.Name, "key"
		for _, f := range n.Uniques() {
			p.Supported = append(p.Supported, f.Name)
		}
		return nil, p
	}
	if !n.Can("update") {
		return nil, problem.New(problem.MethodNotAllowed, "%s does not allow update: there can be no key", n.Name)
	}
	return n, nil
}

// open opens the rows of a received file.
func (j *Jobs) open(n *noun.Noun, o Order, f *File) (rows.Reader, error) {
	return rows.Open(rows.Source{Noun: n, Format: o.Format, File: f.file, Size: f.Size, MaxRow: j.cfg.MaxRow})
}

// Run imports a file while the caller waits. Step is called before each group of rows. An error means that nothing was
// imported, or that a group could not be written: then the report says how far it came.
func (j *Jobs) Run(ctx context.Context, o Order, f *File, step func()) (Report, error) {
	w := &writer{jobs: j, order: o, report: Report{Details: []BadRow{}}}
	var err error
	if w.noun, err = j.checkOrder(o); err != nil {
		return w.report, err
	}
	reader, err := j.open(w.noun, o, f)
	if err != nil {
		return w.report, err
	}
	src := &source{jobs: j, noun: w.noun, order: o, rows: reader}
	err = j.pipe(ctx, src, func(ctx context.Context, groups <-chan *group) error {
		step()
		return w.each(ctx, groups, func(*group) error { step(); return nil })
	})
	return w.report, w.explain(err)
}

// pipe reads groups beside f, which takes them, and returns when both are done. It closes the source's rows.
func (j *Jobs) pipe(ctx context.Context, s *source, f func(context.Context, <-chan *group) error) error {
	reading, stop := context.WithCancel(ctx)
	groups, ended := make(chan *group, groupsAhead), make(chan struct{})
	go func() {
		defer close(ended)
		defer s.rows.Close()
		s.send(reading, groups)
	}()
	err := f(ctx, groups)
	stop()
	<-ended
	return err
}

// explain adds to the error of an import that ended early how far it came.
func (w *writer) explain(err error) error {
	at, ok := errors.AsType[*stopped](err)
	if !ok {
		return err
	}
	p := *w.jobs.problem(at.err)
	p.Message = fmt.Sprintf("%s; the import stopped: %d rows are imported, %d were refused, and of the rows %d to %d it is not known",
		p.Message, w.report.Imported, w.report.Errors, at.first, at.last)
	return &p
}

// Large says whether a file has more rows than are imported while the caller waits. A file that cannot be read is not large.
func (j *Jobs) Large(o Order, f *File) (bool, error) {
	n, err := j.checkOrder(o)
	if err != nil {
		return false, err
	}
	reader, err := j.open(n, o, f)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	for range j.cfg.MaxWaited {
		_, err := reader.Next()
		if _, bad := errors.AsType[*rows.BadRow](err); err != nil && !bad {
			return false, nil // Run says what is wrong with it, if anything is
		}
	}
	_, err = reader.Next()
	_, bad := errors.AsType[*rows.BadRow](err)
	return err == nil || bad, nil
}
