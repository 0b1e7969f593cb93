package care

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"

	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// logs are the tenants' logs as what a lake is mended from: one of them is open at a time.
type logs struct {
	*repair
	tenant string
	open   *ingest.LogFile
}

func (l *logs) use(tenant string) (*ingest.LogFile, error) {
	if l.open != nil && l.tenant == tenant {
		return l.open, nil
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	f, err := ingest.OpenLogFile(ingest.LogPath(l.Dir, tenant), l.VFS, l.Nouns)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", lakehouse.ErrUnrecoverable, err)
	}
	l.tenant, l.open = tenant, f
	return f, nil
}

func (l *logs) close() error {
	if l.open == nil {
		return nil
	}
	f := l.open
	l.open = nil
	return f.Close()
}

// Events implements lakehouse.Truth.
func (l *logs) Events(ctx context.Context, tenant string, from, upto int64, yield func(*lakehouse.Event) error) error {
	f, err := l.use(tenant)
	if err != nil {
		return err
	}
	next := from
	err = f.Scan(ctx, from-1, upto, func(seq int64, e *lakehouse.Event, damaged error) error {
		if damaged != nil || seq != next {
			return fmt.Errorf("event %d: %w", next, lakehouse.ErrUnrecoverable)
		}
		next++
		if err := f.Today(e); err != nil {
			return err
		}
		return yield(e)
	})
	if err == nil && next <= upto {
		err = fmt.Errorf("event %d: %w", next, lakehouse.ErrUnrecoverable)
	}
	return err
}

// Live implements lakehouse.Truth.
func (l *logs) Live(ctx context.Context, tenant, noun string, upto int64, yield func(*lakehouse.Event) error) error {
	f, err := l.use(tenant)
	if err != nil {
		return err
	}
	if l.run.sick[tenant] != nil || upto < f.Trimmed() {
		return fmt.Errorf("the log of %s is not whole: %w", tenant, lakehouse.ErrUnrecoverable)
	}
	err = f.Live(ctx, noun, upto, yield)
	if errors.Is(err, ingest.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", lakehouse.ErrUnrecoverable, err)
	}
	return err
}

// keys gives the keys of a map.
func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
