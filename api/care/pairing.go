package care

import (
	"context"
	"errors"
	"iter"

	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// pairing reads a log in order of seq, as far as it is asked to: the log's half of a comparison side by side.
type pairing struct {
	next func() (logged, bool)
	stop func()
	row  logged // read, and not asked for yet
	have bool
}

// logged is a row of a log; event is nil where it is damaged.
type logged struct {
	seq   int64
	event *lakehouse.Event
	err   error // that ended reading
}

// errPaired ends reading a log that nobody asks any more.
var errPaired = errors.New("no more is asked for")

func newPairing(ctx context.Context, log *ingest.LogFile, upto int64) *pairing {
	var rows iter.Seq[logged] = func(yield func(logged) bool) {
		err := log.Scan(ctx, 0, upto, func(seq int64, e *lakehouse.Event, _ error) error {
			if !yield(logged{seq: seq, event: e}) {
				return errPaired
			}
			return nil
		})
		if err != nil && !errors.Is(err, errPaired) {
			yield(logged{err: err})
		}
	}
	p := &pairing{}
	p.next, p.stop = iter.Pull(rows)
	return p
}

// at gives the event with a seq, nil where the log has none that is whole. Seqs are asked for in order.
func (p *pairing) at(seq int64) (*lakehouse.Event, error) {
	for !p.have || p.row.seq < seq {
		row, more := p.next()
		if !more {
			return nil, nil
		}
		if row.err != nil {
			return nil, row.err
		}
		p.row, p.have = row, true
	}
	if p.row.seq == seq {
		return p.row.event, nil
	}
	return nil, nil
}

func (p *pairing) close() { p.stop() }
