package ingest

import (
	"context"
	"errors"
	"fmt"

	"headless.ly/lakehouse"
)

// scan reads a range: what the log has in pages, each in its own short transaction, and what it has let go from the archive.
func (w *writer) scan(ctx context.Context, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	upto := w.view.Load().head
	if r.Upto > 0 {
		upto = min(upto, r.Upto)
	}
	if upto <= r.After {
		return w.readable()
	}
	p := pager{r: r, after: r.After, upto: upto, left: r.Limit}
	if r.Target != "" {
		if err := w.read(func(c *conn) error {
			s, err := c.getState(r.Target)
			if s != nil && (r.Noun == "" || s.noun == r.Noun) {
				p.row = s.row
			}
			return err
		}); err != nil || p.row == 0 {
			return err
		}
		p.after = max(p.after, p.row-1)
	}
	for !p.done && p.after < p.upto {
		if err := w.scanPart(ctx, &p, yield); err != nil {
			return fmt.Errorf("read log of %s: %w", w.tenant, err)
		}
	}
	return w.readable()
}

// scanPart reads the next page of the log, or all that comes from the archive.
func (w *writer) scanPart(ctx context.Context, p *pager, yield func(*lakehouse.Event) error) error {
	trimmed := w.trimmed.Load()
	if !p.r.Desc && p.after < trimmed || p.r.Desc && p.upto <= trimmed {
		return w.scanOlder(ctx, p, trimmed, yield)
	}
	next := *p
	var page []*record
	if err := w.read(func(c *conn) (err error) { page, err = next.next(c, trimmed); return err }); err != nil {
		return err
	}
	if now := w.trimmed.Load(); now > trimmed && (p.r.Desc || now > p.after) {
		return nil // some may have gone meanwhile: again
	}
	*p = next
	for _, rec := range page {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(&rec.Event); err != nil {
			return err
		}
	}
	return nil
}

// scanOlder reads what is left of a range up to the trim point.
func (w *writer) scanOlder(ctx context.Context, p *pager, trimmed int64, yield func(*lakehouse.Event) error) error {
	r := lakehouse.Range{After: p.after, Upto: min(p.upto, trimmed), Noun: p.r.Noun, Target: p.r.Target, Desc: p.r.Desc, Limit: p.left}
	n := 0
	err := w.older(ctx, r, func(e *lakehouse.Event) error {
		n++
		return yield(e)
	})
	if err != nil {
		return err
	}
	if p.after = r.Upto; p.r.Desc { // that was all
		p.after = p.upto
	}
	if p.left > 0 {
		p.left -= n
		p.done = p.left == 0
	}
	return nil
}

// documents gives the stored documents of events.
func (w *writer) documents(ctx context.Context, seqs []int64) ([][]byte, error) {
	out := make([][]byte, 0, len(seqs))
	var gone []int64 // places in out
	err := w.read(func(c *conn) error {
		for _, seq := range seqs {
			data, err := c.getData(seq)
			if errors.Is(err, errNotInLog) && seq > 0 && seq <= w.trimmed.Load() {
				gone, err = append(gone, int64(len(out))), nil
			}
			if err != nil {
				return err
			}
			out = append(out, data)
		}
		return nil
	})
	if err != nil || len(gone) == 0 {
		return out, err
	}
	older := make([]int64, len(gone))
	for i, at := range gone {
		older[i] = seqs[at]
	}
	events, err := w.find(ctx, older)
	if err != nil {
		return nil, err
	}
	for i, at := range gone {
		out[at] = events[i].Data
	}
	return out, nil
}

// eventSeq finds an event by its id; 0 if there is none.
func (w *writer) eventSeq(ctx context.Context, id string) (seq int64, err error) {
	found := false
	err = w.read(func(c *conn) (err error) { seq, found, err = c.eventSeq(id); return err })
	if err != nil || found {
		return seq, err
	}
	if seq <= 0 || seq > w.trimmed.Load() {
		return 0, nil
	}
	events, err := w.find(ctx, []int64{seq})
	if err != nil || events[0].ID != id {
		return 0, err
	}
	return seq, nil
}

// seqAt finds the last event up to the head that is stamped at or before an instant, in milliseconds.
func (w *writer) seqAt(ctx context.Context, v *published, at int64) (seq int64, err error) {
	if at >= v.last {
		return v.head, w.readable()
	}
	trimmed := min(w.trimmed.Load(), v.head)
	for {
		if err := w.read(func(c *conn) (err error) { seq, err = c.seqAt(trimmed, v.head, at); return err }); err != nil {
			return 0, err
		}
		now := min(w.trimmed.Load(), v.head)
		if now == trimmed {
			break
		}
		trimmed = now // some may have gone meanwhile: again
	}
	if seq > trimmed || trimmed == 0 {
		return seq, nil
	}
	if w.cfg.Older == nil {
		return 0, errNoOlder
	}
	return w.cfg.Older.EventAt(ctx, w.tenant, trimmed, at)
}
