package ingest

import (
	"context"
	"log/slog"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// Registrar keeps the durable list of tenants that may have unpublished events (correctness 6). *catalog.Database is one.
type Registrar interface {
	MarkOpen(ctx context.Context, tenant string) error
	MarkClosed(ctx context.Context, tenant string) error
}

// Config says where and how a Store works. Dir, Nouns and Registrar are required; the zero value of everything else
// means the default in its comment.
type Config struct {
	Dir       string         // the data folder; logs live in Dir/tenants/<tenant>/log.db
	Nouns     *noun.Registry // what may be written
	Registrar Registrar
	Published func(tenant string) int64 // seq up to which the events table holds the tenant's log; nil: everything is published

	Hooks          *Hooks           // nil: none
	Clock          func() time.Time // time.Now
	QueueLength    int              // 1,024 calls wait per tenant; more are answered Busy
	MaxBatch       int              // 512 commands share a commit
	MaxOpen        int              // 2,000 tenants open at once
	IdleClose      time.Duration    // 30 s without a call closes a published tenant
	IdempotencyTTL time.Duration    // 24 h
	VFS            string           // SQLite VFS, for fault injection; empty: the operating system's
	Logger         *slog.Logger     // slog.Default()
}

// Store takes commands for all tenants of a data folder. It is safe for concurrent use. The data folder's lock is held by
// the caller (lakehouse.Open takes it).
type Store struct{}

// Open readies the store and opens the tenants listed, those that may hold unpublished events.
func Open(ctx context.Context, cfg Config, sweep []string) (*Store, error) { return nil, nil }

// Do runs commands of one tenant in order and answers when the commit that holds them is durable. Each command succeeds or
// fails alone, in its Result. The error is about the call as a whole: a problem InvalidTenant, Busy, OutcomeUnknown,
// StorageFull, Unavailable, or ctx's own error if it ended before the call was queued (a queued call always runs).
// The first successful write makes the tenant.
func (s *Store) Do(ctx context.Context, tenant string, cmds []Command) ([]Result, error) {
	return nil, nil
}

// Barrier waits for the writes accepted before it and gives the tenant's head (correctness 5).
func (s *Store) Barrier(ctx context.Context, tenant string) (int64, error) { return 0, nil }

// Head is the seq of the tenant's last acknowledged event; 0 for a tenant that does not exist.
func (s *Store) Head(ctx context.Context, tenant string) (int64, error) { return 0, nil }

// SeqAt is the seq of the last event with a timestamp at or before t. The answer holds for ever: no later event will
// bear a timestamp ≤ t, unless t is now or later, in which case the answer is the head (correctness 4).
func (s *Store) SeqAt(ctx context.Context, tenant string, t time.Time) (int64, error) { return 0, nil }

// Lookup finds an entity by its $id, or by the value of one of the noun's unique fields, deleted ones by $id only.
// problem.NotFound where there is none.
func (s *Store) Lookup(ctx context.Context, tenant, noun, key string) (lakehouse.Pointer, error) {
	return lakehouse.Pointer{}, nil
}

// Documents gives the stored documents of these events, in the order asked. The bytes are the caller's.
func (s *Store) Documents(ctx context.Context, tenant string, seqs []int64) ([][]byte, error) {
	return nil, nil
}

// LastChange is the seq of the noun's last event; 0 if it has none.
func (s *Store) LastChange(ctx context.Context, tenant, noun string) (int64, error) { return 0, nil }

// Counts gives the number of live entities per noun at the head.
func (s *Store) Counts(ctx context.Context, tenant string) (map[string]int64, error) { return nil, nil }

// Read calls yield with the events of a range in order of seq. It reads in short transactions and verifies checksums.
// An error of yield ends it and is returned. Events are immutable and may be kept.
func (s *Store) Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	return nil
}

// EventSeq gives the seq of the event with this evt_ id; 0 if there is none.
func (s *Store) EventSeq(ctx context.Context, tenant, id string) (int64, error) { return 0, nil }

// Heads gives the acknowledged head of every tenant that may have unpublished events. It does no I/O.
func (s *Store) Heads() map[string]int64 { return nil }

// Tenants lists the tenants that have a log in the data folder, sorted.
func (s *Store) Tenants(ctx context.Context) ([]string, error) { return nil, nil }

// TenantStatus is what /~t/status says about a tenant's writer.
type TenantStatus struct {
	Exists  bool
	Open    bool
	Head    int64
	Queued  int           // calls waiting
	Last    time.Time     // timestamp of the last event
	Ahead   time.Duration // how far the last timestamp is ahead of the clock; alarming above a second
	LogSize int64         // bytes of the log file
}

// Status looks at a tenant without opening or creating it.
func (s *Store) Status(tenant string) TenantStatus { return TenantStatus{} }

// Feed delivers a tenant's events as they are committed: every event after a seq, in order, each once.
type Feed struct {
	// Events is closed when the feed ends; Err says why.
	Events <-chan *lakehouse.Event
}

// Err says why Events was closed: nil after Close, ErrSlow for a consumer that fell behind.
func (f *Feed) Err() error { return nil }

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() {}

// Subscribe opens a feed of the tenant's events after a seq; a negative seq means from the head on. It never makes the
// writer wait: a consumer that is feedBuffer events behind is cut off with ErrSlow and resumes by seq.
func (s *Store) Subscribe(ctx context.Context, tenant string, after int64) (*Feed, error) { return nil, nil }

// Close refuses new calls, finishes the accepted ones, and closes the logs. It publishes nothing.
func (s *Store) Close(ctx context.Context) error { return nil }
