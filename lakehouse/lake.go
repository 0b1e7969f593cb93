package lakehouse

import (
	"context"
	"log/slog"
	"time"

	"headless.ly/catalog"
	"headless.ly/catalog/noun"
)

// Log is what the publisher reads of the tenants' logs. Safe for concurrent use.
type Log interface {
	// Heads gives the acknowledged head of every tenant that may have unpublished events. It does no I/O.
	Heads() map[string]int64
	// Read calls yield with the events of a range in order of seq, in short transactions, checksums verified. An error of
	// yield ends it and is returned. Events are immutable and may be kept.
	Read(ctx context.Context, tenant string, r Range, yield func(*Event) error) error
}

// Config says where and how a Lake works. Dir and Nouns are required; the zero value of everything else means the default
// in its comment.
type Config struct {
	Dir   string         // the data folder
	Nouns *noun.Registry // one table each

	Interval          time.Duration // 1 s between ticks
	MaxFilesPerCommit int           // 200 (tenant, date) files of events per tenant and tick
	FS                FS            // the operating system's; tests inject faults
	Step              func(string)  // called with each of Steps() as publishing passes it; nil: nothing
	Logger            *slog.Logger  // slog.Default()
}

// Lake publishes the tenants' logs to Iceberg tables and says what is published. It is safe for concurrent use.
type Lake struct{}

// Open takes the data folder's lock, opens catalog.db and the warehouse, and makes the tables that do not exist.
func Open(ctx context.Context, cfg Config) (*Lake, error) { panic("not yet") }

// Start starts the clock that publishes the log. It is called once.
func (l *Lake) Start(log Log) {}

// Publish publishes everything that was acknowledged before the call.
func (l *Lake) Publish(ctx context.Context) error { panic("not yet") }

// Close stops the clock, waits for a running tick and gives the lock back. It publishes nothing.
func (l *Lake) Close() error { panic("not yet") }

// Published is the seq up to which the events table holds the tenant's log. It does no I/O.
func (l *Lake) Published(tenant string) int64 { panic("not yet") }

// Tenants lists the tenants that have anything published, sorted.
func (l *Lake) Tenants(ctx context.Context) ([]string, error) { panic("not yet") }

// Pin gives the tenant's published view; an empty one for an unknown tenant.
func (l *Lake) Pin(tenant string) *View { panic("not yet") }

// Database gives the catalog database.
func (l *Lake) Database() *catalog.Database { panic("not yet") }

// Status is what is known about a tenant's publishing.
type Status struct {
	Published int64         // seq in the events table
	Head      int64         // acknowledged head when last looked
	Lag       time.Duration // age of the oldest unpublished event the publisher has seen; 0: none
	Behind    bool          // more (tenant, day) files were due than a commit takes
	Error     string        // of the last attempt; empty after a success
	Tables    map[string]TableStatus
}

// TableStatus is a tenant's share of one table.
type TableStatus struct {
	Seq   int64
	Files int
	Rows  int64
}

// Status says how far the tenant is published. It does no I/O.
func (l *Lake) Status(tenant string) Status { panic("not yet") }
