package ingest

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"headless.ly/catalog/problem"
)

// maxTenantLength bounds a tenant's name.
const maxTenantLength = 63

// ValidTenant reports whether a name is a tenant's slug, lower-case: ^[a-z0-9][a-z0-9._-]{0,62}$ without "..". Only such
// names ever become part of a path (interfaces.md 1.2).
func ValidTenant(name string) bool {
	if name == "" || len(name) > maxTenantLength {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '.' || c == '_' || c == '-') && i > 0:
			if c == '.' && name[i-1] == '.' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func invalidTenant() error {
	return problem.New(problem.InvalidTenant, "a tenant is named by 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit")
}

// acquire gives the tenant's slot, opening it if need be. The caller releases it.
func (s *Store) acquire(ctx context.Context, tenant string) (*slot, error) {
	if !ValidTenant(tenant) {
		return nil, invalidTenant()
	}
	for {
		k, what, err := s.claimSlot(tenant)
		if err != nil {
			return nil, err
		}
		wait := k.ready
		switch what {
		case slotNew:
			s.openSlot(tenant, k)
		case slotClosing: // wait, and open it again
			wait = k.gone
		}
		select {
		case <-wait:
		case <-ctx.Done():
			if what != slotClosing {
				s.release(k)
			}
			return nil, ctx.Err()
		}
		if what != slotClosing {
			return k, k.err // one that could not be opened has left the store: nobody counts its users
		}
	}
}

// What claimSlot found.
const (
	slotNew     = iota // made: the caller is a user and opens it
	slotInUse          // opening or open: the caller is a user
	slotClosing        // the caller is no user
)

// claimSlot finds or makes the tenant's slot and counts the caller as its user, unless it is closing.
func (s *Store) claimSlot(tenant string) (k *slot, what int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, shuttingDown()
	}
	if k, ok := s.slots[tenant]; ok {
		if k.barred != nil {
			return nil, 0, k.barred
		}
		if k.closing {
			return k, slotClosing, nil
		}
		k.users++
		return k, slotInUse, nil
	}
	if len(s.slots) >= s.cfg.MaxOpen && !s.evict() {
		p := problem.New(problem.Unavailable, "%d tenants are open and none of them is idle", len(s.slots))
		p.RetryAfter = time.Second
		return nil, 0, p
	}
	k = &slot{ready: make(chan struct{}), gone: make(chan struct{}), users: 1}
	s.slots[tenant] = k
	return k, slotNew, nil
}

func shuttingDown() error {
	p := problem.New(problem.Unavailable, "the server is shutting down")
	p.RetryAfter = time.Second
	return p
}

// bar closes the tenant behind the calls already accepted, and keeps it closed until lift is called: calls are answered
// Unavailable meanwhile, and nothing of the store touches its files. why continues "the tenant". lift may be called again.
func (s *Store) bar(ctx context.Context, tenant, why string) (lift func(), err error) {
	p := problem.New(problem.Unavailable, "the tenant %s", why)
	p.RetryAfter = time.Second
	k := &slot{ready: make(chan struct{}), gone: make(chan struct{}), closing: true, barred: p}
	close(k.ready)
	for {
		before, err := s.replaceSlot(tenant, k)
		if err != nil {
			return nil, err
		}
		if before == nil {
			break
		}
		select {
		case <-before.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.slots, tenant)
		s.mu.Unlock()
		close(k.gone)
	}), nil
}

// replaceSlot puts a barred slot in a tenant's place. If that is taken it gives the slot that has it, which is on its way out.
func (s *Store) replaceSlot(tenant string, barred *slot) (before *slot, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, shuttingDown()
	}
	before = s.slots[tenant]
	switch {
	case before == nil:
		s.slots[tenant] = barred
	case before.barred != nil:
		return nil, before.barred
	case !before.closing:
		s.closeAside(tenant, before)
	}
	return before, nil
}

// openSlot opens the writer of a new slot; one that fails leaves the store at once.
func (s *Store) openSlot(tenant string, k *slot) {
	w, err := newWriter(s.ctx, &s.cfg, s.plans, tenant)
	k.w, k.err = w, err
	if err != nil {
		s.cfg.Logger.Error("open tenant", "tenant", tenant, "error", err)
		p := problem.New(problem.Unavailable, "the tenant's log cannot be opened")
		p.Cause, p.RetryAfter = err, time.Second
		if k.err = damaged(err); k.err == nil {
			k.err = p
		}
		s.mu.Lock()
		delete(s.slots, tenant)
		s.mu.Unlock()
		close(k.gone)
	}
	close(k.ready)
}

func (s *Store) release(k *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.users--
	k.used = time.Now()
}

// existing runs f with the tenant's writer; a tenant that does not exist is not made, and f not called.
func (s *Store) existing(ctx context.Context, tenant string, f func(*writer) error) error {
	if !ValidTenant(tenant) {
		return invalidTenant()
	}
	s.mu.Lock()
	_, open := s.slots[tenant]
	s.mu.Unlock()
	if !open {
		if _, err := os.Stat(logFile(s.cfg.Dir, tenant)); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	k, err := s.acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer s.release(k)
	return f(k.w)
}

// idle reports whether a slot may close: open, unused since a time, and published. The caller holds mu.
func (s *Store) idle(tenant string, k *slot, since time.Time) bool {
	if k.closing || k.users > 0 || k.used.After(since) {
		return false
	}
	w := k.open()
	return w != nil && len(w.queue) == 0 && s.published(tenant) >= w.view.Load().head
}

// evict closes the tenant that has been idle longest, aside. The caller holds mu; false: there is none.
func (s *Store) evict() bool {
	var name string
	var oldest *slot
	now := time.Now()
	for tenant, k := range s.slots {
		if s.idle(tenant, k, now) && (oldest == nil || k.used.Before(oldest.used)) {
			name, oldest = tenant, k
		}
	}
	if oldest == nil {
		return false
	}
	s.closeAside(name, oldest)
	return true
}

// closeAside closes an idle slot in a goroutine of its own. The caller holds mu.
func (s *Store) closeAside(tenant string, k *slot) {
	k.closing = true
	s.ended.Go(func() {
		if err := s.finish(s.ctx, tenant, k); err != nil {
			s.cfg.Logger.Error("close idle tenant", "error", err)
		}
	})
}

// tidy closes tenants that are idle and published, and read connections nobody has used for a while. It tries again to open
// the tenants that are left from the start.
func (s *Store) tidy(left []string) {
	swept := time.Now()
	t := time.NewTicker(janitorPause)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		s.mu.Lock()
		now := time.Now()
		var quiet []*writer
		for tenant, k := range s.slots {
			if s.idle(tenant, k, now.Add(-s.cfg.IdleClose)) {
				s.closeAside(tenant, k)
			} else if k.users == 0 && now.Sub(k.used) > s.cfg.IdleClose/4 && k.open() != nil {
				quiet = append(quiet, k.w)
			}
		}
		s.mu.Unlock()
		for _, w := range quiet {
			w.readers.closeIdle()
		}
		if len(left) > 0 && now.Sub(swept) >= sweepPause {
			left, swept = s.sweep(s.ctx, left, func(*writer) {}), now // their rows stay on the durable list
		}
	}
}
