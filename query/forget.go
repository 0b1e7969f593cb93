package query

import "context"

// Forget drops everything that is held of a tenant, in memory and in files that queries have spilled, and of the operators'
// queries over several. It returns when the last query that uses it has ended. What is read later is read anew.
func (r *Reader) Forget(ctx context.Context, tenant string) error {
	var all []*database
	r.engine.mu.Lock()
	gone := r.engine.retire(func(d *database) bool {
		mine := d.tenant == tenant || d.tenant == operators
		if mine {
			all = append(all, d)
		}
		return mine
	})
	r.engine.mu.Unlock()
	err := closeAll(gone)
	for _, d := range all {
		select {
		case <-d.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}
