package query

import (
	"context"
	"time"

	"headless.ly/catalog/problem"
)

// minSeqWait is how long a read waits for X-Min-Seq to be reached.
const minSeqWait = 2 * time.Second

// fix decides at which seq a read happens. since is what relative literals are relative to: of a later page, the time of
// the first.
func (r *Reader) fix(ctx context.Context, tenant string, o Options, since time.Time) (At, error) {
	if o.Strong && o.AsOf != "" {
		return At{}, invalid("strong", "strong and asOf exclude each other")
	}
	if o.AsOf == "" {
		seq, err := r.head(ctx, tenant, o)
		mode := Eventual
		if o.Strong {
			mode = Strong
		}
		return At{Seq: seq, Mode: mode}, err
	}
	t, ok := parseMoment(o.AsOf, since)
	if !ok {
		return At{}, problem.New(problem.InvalidAsOf, "%q is no instant: ISO 8601, a date, or like 7d ago", o.AsOf)
	}
	at := At{AsOf: &t, Mode: AsOf}
	head, err := r.head(ctx, tenant, o)
	if err != nil || !t.Before(r.now()) { // what is not over is the head (correctness 4)
		at.Seq = head
		return at, err
	}
	at.Seq, err = r.log.SeqAt(ctx, tenant, t)
	return at, err
}

// head gives the acknowledged head, at least the seq demanded.
func (r *Reader) head(ctx context.Context, tenant string, o Options) (int64, error) {
	look := r.log.Head
	if o.Strong {
		look = r.log.Barrier
	}
	seq, err := look(ctx, tenant)
	if err != nil || seq >= o.MinSeq {
		return seq, err
	}
	limited, cancel := context.WithTimeout(ctx, minSeqWait)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for seq < o.MinSeq {
		select {
		case <-tick.C:
		case <-limited.Done():
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			p := problem.New(problem.NotYet, "seq %d is not reached; this is %d", o.MinSeq, seq)
			p.RetryAfter = time.Second
			return 0, p
		}
		if seq, err = r.log.Head(ctx, tenant); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// invalid is the error about a parameter that has no code of its own.
func invalid(field, format string, args ...any) *problem.Problem {
	p := problem.New(problem.InvalidRequest, format, args...)
	p.Field = field
	return p
}

// now is the instant of a request, as cursors keep it.
func (r *Reader) now() time.Time { return r.clock().UTC().Truncate(time.Millisecond) }
