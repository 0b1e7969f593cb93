package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// Status is how far a job has come.
type Status string

// A job waits, runs, and ends in one of the last three.
const (
	Waiting   Status = "waiting"
	Running   Status = "running"
	Done      Status = "done"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Ended says whether nothing more will happen.
func (s Status) Ended() bool { return s == Done || s == Failed || s == Cancelled }

// Job is a large import: what is stored of it, and what is told.
type Job struct {
	ID     string `json:"id"`
	Order  Order  `json:"order"`
	Hash   string `json:"hash"` // SHA-256 of the file
	Status Status `json:"status"`
	Report Report `json:"report"`
	// Trouble is why a job does not go on at the moment, or why it has failed.
	Trouble *problem.Problem `json:"trouble,omitempty"`

	Bytes    int64      `json:"bytes"` // of the file
	Read     int64      `json:"read"`  // of these
	Seq      int64      `json:"seq"`   // of the log before any row that Report does not count
	Created  time.Time  `json:"created"`
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`

	PerSecond float64 `json:"-"` // rows, lately
}

// Times of a job.
const (
	// checkpointEvery is how much work is looked up in the log again when a job goes on.
	checkpointEvery = time.Second
	// maxPause bounds how long a job that cannot go on waits before it tries again.
	maxPause = 30 * time.Second
	// rateOver is the time over which the rate of a job is measured.
	rateOver = 5 * time.Second
)

const (
	stateFile = "job.json"
	rowsFile  = "rows"
)

// job is a Job that has not ended.
type job struct {
	jobs    *Jobs
	dir     string
	noun    *noun.Noun
	created Job // as it was when it was made or found
	cancel  context.CancelCauseFunc
	ctx     context.Context // ends with the jobs, or when the job is cancelled
	ready   chan struct{}   // closed when it is on disk,
	void    bool            // or could not be put there
	ended   chan struct{}

	saved   Job // what is on disk; of the job's goroutine
	reached int // the last row written; likewise

	mu   sync.Mutex // guards the fields below
	now  Job
	seen []sight
}

// sight is how far a job was at a time.
type sight struct {
	at   time.Time
	rows int
}

var errCancelled = errors.New("the job is cancelled")

// look gives a copy of how far the job is.
func (j *job) look() Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.now
	out.Report = out.Report.clone()
	if n := len(j.seen); n > 1 {
		if took := j.seen[n-1].at.Sub(j.seen[0].at).Seconds(); took > 0 {
			out.PerSecond = float64(j.seen[n-1].rows-j.seen[0].rows) / took
		}
	}
	return out
}

func (j *job) show(state Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now = state
	j.now.Report = j.now.Report.clone()
	at := time.Now()
	j.seen = append(j.seen, sight{at, state.Report.Rows})
	for len(j.seen) > 2 && at.Sub(j.seen[1].at) > rateOver {
		j.seen = j.seen[1:]
	}
}

// save makes the job's state durable.
func (j *job) save(state Job) error {
	text, err := json.Marshal(state)
	if err == nil {
		err = replace(filepath.Join(j.dir, stateFile), text)
	}
	if err != nil {
		return noRoom(err)
	}
	j.saved = state
	j.saved.Report = state.Report.clone()
	j.show(j.saved)
	return nil
}

// run imports until the job has ended or the jobs are closed.
func (j *job) run() {
	defer close(j.ended)
	if j.void {
		return
	}
	for pause := j.jobs.cfg.Pause; ; pause = min(2*pause, maxPause) {
		before := j.reached
		err := j.pass()
		if j.settle(err) {
			return
		}
		if j.reached > before {
			pause = j.jobs.cfg.Pause
		}
		select {
		case <-j.ctx.Done():
		case <-time.After(pause):
		}
	}
}

// settle notes what a pass came to; false if there has to be another.
func (j *job) settle(err error) bool {
	next := j.saved
	at := now()
	switch cause := context.Cause(j.ctx); {
	case err == nil && next.Report.Broken:
		next.Status, next.Finished = Failed, &at
		next.Trouble = problem.New(problem.InvalidBody, "the file cannot be read behind row %d", next.Report.Rows-1)
	case err == nil:
		next.Status, next.Trouble, next.Finished, next.Read = Done, nil, &at, next.Bytes
	case errors.Is(cause, errCancelled):
		next.Status, next.Trouble, next.Finished = Cancelled, nil, &at
	case cause != nil:
		return true // the next start goes on
	case lasting(err):
		next.Status, next.Trouble, next.Finished = Failed, j.jobs.problem(err), &at
	default:
		next.Trouble = j.jobs.problem(err)
		j.show(next)
		return false
	}
	if err := j.save(next); err != nil {
		j.jobs.cfg.Logger.Error("end job", "job", next.ID, "error", err)
		next = j.saved
		next.Trouble = j.jobs.problem(err)
		j.show(next)
		return false
	}
	j.tidy()
	return true
}

// tidy removes the file of a job that has ended. If it stays, it is removed with the job.
func (j *job) tidy() {
	if err := os.Remove(filepath.Join(j.dir, rowsFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		j.jobs.cfg.Logger.Warn("remove file of job", "job", j.saved.ID, "error", err)
	}
}

// lasting says whether an error would come again: the file is at fault.
func lasting(err error) bool {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok {
		return errors.Is(err, os.ErrNotExist)
	}
	switch p.Code {
	case problem.Busy, problem.Unavailable, problem.OutcomeUnknown, problem.StorageFull, problem.Timeout, problem.Internal:
		return false
	}
	return true
}

// pass imports from the last checkpoint to the end of the file.
func (j *job) pass() error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(j.dir, rowsFile))
	if err != nil {
		return err
	}
	defer file.Close()
	state := j.saved
	state.Report, state.Status, state.Trouble = state.Report.clone(), Running, nil
	if state.Started == nil {
		at := now()
		state.Started = &at
	}
	if state.Order.Try { // what was found to be unique is not remembered
		state.Report, state.Read = Report{Details: []BadRow{}}, 0
	}
	landed, err := j.landed(&state)
	if err != nil {
		return err
	}
	reader, err := j.jobs.open(j.noun, state.Order, &File{file: file, Size: state.Bytes})
	if err != nil {
		return err
	}
	src := &source{jobs: j.jobs, noun: j.noun, order: state.Order, rows: reader, after: state.Report.Rows, landed: landed, stamp: stamp(state.ID)}
	err = j.jobs.pipe(j.ctx, src, func(ctx context.Context, groups <-chan *group) error { return j.write(ctx, state, groups) })
	return err
}

// write writes groups and saves how far it is from time to time, and at the end.
func (j *job) write(ctx context.Context, state Job, groups <-chan *group) error {
	w := &writer{jobs: j.jobs, noun: j.noun, order: state.Order, report: state.Report}
	j.show(state)
	due := time.Now().Add(checkpointEvery)
	checkpoint := func() (err error) {
		if state.Seq, err = j.jobs.cfg.Store.Head(ctx, state.Order.Tenant); err != nil {
			return err
		}
		state.Report = w.report
		return j.save(state)
	}
	err := w.each(ctx, groups, func(g *group) error {
		state.Report, state.Read = w.report, max(state.Read, g.read)
		j.reached = max(j.reached, w.report.Rows)
		j.show(state)
		if time.Now().Before(due) {
			return nil
		}
		due = time.Now().Add(checkpointEvery)
		return checkpoint()
	})
	if err != nil {
		return err
	}
	return checkpoint()
}

// stamp begins the request id of every event that a job writes; the row follows.
func stamp(id string) string { return id + "/" }

// landed finds the rows that were written behind the checkpoint, and counts them.
func (j *job) landed(state *Job) (map[int]struct{}, error) {
	found := map[int]struct{}{}
	if state.Order.Try {
		return found, nil
	}
	mark := stamp(state.ID)
	err := j.jobs.cfg.Store.Read(j.ctx, state.Order.Tenant, lakehouse.Range{After: state.Seq, Noun: j.noun.Name}, func(e *lakehouse.Event) error {
		text, ours := strings.CutPrefix(e.RequestID, mark)
		if !ours {
			return nil
		}
		row, err := strconv.Atoi(text)
		if err != nil {
			return nil // somebody chose such a request id
		}
		if _, again := found[row]; again || row <= state.Report.Rows {
			return nil
		}
		found[row] = struct{}{}
		state.Report.Imported++
		if e.Verb == "update" {
			state.Report.Updated++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for rows of %s: %w", state.ID, err)
	}
	return found, nil
}
