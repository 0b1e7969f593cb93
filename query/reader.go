package query

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
	"headless.ly/query/engine"
)

// Log is what reads need of the writer. An unknown tenant is an empty one: Head is 0, nothing is created.
// Implementations are safe for concurrent use.
type Log interface {
	// Head gives the seq of the tenant's last acknowledged event.
	Head(ctx context.Context, tenant string) (int64, error)
	// Barrier gives the head after all writes accepted before the call are done.
	Barrier(ctx context.Context, tenant string) (int64, error)
	// SeqAt gives the last seq with timestamp <= t; later events are stamped after t.
	SeqAt(ctx context.Context, tenant string, t time.Time) (int64, error)
	// Lookup finds an entity, deleted ones too, by its $id or else by a unique value; problem.NotFound if there is none.
	Lookup(ctx context.Context, tenant, noun, key string) (lakehouse.Pointer, error)
	// Documents gives the Data of these events, in the order asked.
	Documents(ctx context.Context, tenant string, seqs []int64) ([][]byte, error)
	// LastChange gives the seq of the noun's last event, 0 if it has none.
	LastChange(ctx context.Context, tenant, noun string) (int64, error)
	// Read yields the events of the range in its order.
	Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error
	// EventSeq gives the seq of an event by its evt_ id, 0 if there is none.
	EventSeq(ctx context.Context, tenant, id string) (int64, error)
}

// Lake gives pinned views of what is published; the caller releases each.
type Lake interface {
	Pin(tenant string) *lakehouse.View
}

// Options choose the instant and the shape of an answer. The zero value is the default read of whole documents.
type Options struct {
	Strong         bool
	AsOf           string // ISO 8601 instant, date or relative literal; "" is now
	AtVersion      int64  // one entity at this version; 0: not given
	MinSeq         int64  // X-Min-Seq
	Include        []string
	Fields         []string
	IncludeDeleted bool
}

// Query is a list.
type Query struct {
	Options
	Filter    entity.Object // interfaces.md 2.5; nil is {}
	Text      string        // as filter.$text
	Sort      string        // any spelling of interfaces.md 2.4; "" is -createdAt, or relevance where there is a text
	Limit     int           // 1 to 100; 0 is 25
	Offset    int
	Cursor    string
	CountOnly bool // only Page.Total is wanted
}

// Mode is the consistency an answer was read with, as X-Consistency says it.
type Mode string

// The three modes of interfaces.md 4.1.
const (
	Eventual Mode = "eventual"
	Strong   Mode = "strong"
	AsOf     Mode = "as-of"
)

// At says at which instant an answer was read.
type At struct {
	Seq  int64
	AsOf *time.Time // the resolved instant, for mode AsOf
	Mode Mode
}

// Answer is one entity. The caller owns Document.
type Answer struct {
	Document []byte // with $context, after fields and include
	Version  int64
	At
}

// Page is one page of a list. The caller owns the documents.
type Page struct {
	Results [][]byte // as Answer.Document
	Total   int64    // all rows that match, not only the page
	HasMore bool
	Cursor  string // "" unless HasMore
	Limit   int    // as applied
	Offset  int
	At
}

// EventQuery chooses events of a tenant's log (interfaces.md 3.3).
type EventQuery struct {
	Type   string // pattern list of 3.6; "" is everything
	Noun   string // events of this noun, by any of its names
	Target string // events of this entity; Noun may stay empty
	Actor  string
	Verb   string // imperatives, comma separated
	Since  string // instant, inclusive
	Until  string // instant, inclusive
	After  string // event id, exclusive; or an instant, as Since
	Before string // event id, exclusive; or an instant, as Until
	Cursor string // event id: strictly behind it in the order asked
	Order  string // "asc" or "desc"; "" is asc
	Limit  int    // 1 to 1,000; 0 is 100
	AsOf   string
	Strong bool
	MinSeq int64
}

// EventPage is one page of events. Events are shared and must not be changed.
type EventPage struct {
	Events  []*lakehouse.Event
	Cursor  string // the last event's id; the one given where the page is empty
	HasMore bool
	At
}

// Diff is what changed in one entity between two instants.
type Diff struct {
	Before  []byte // document with $context; nil where it did not exist
	After   []byte // likewise
	Events  []*lakehouse.Event
	Changes []Change
	At
}

// Config is what a Reader needs. Log, Lake and Nouns are required.
type Config struct {
	Log    Log
	Lake   Lake
	Nouns  *noun.Registry
	Secret []byte           // signs cursors; empty: a random one, cursors then end with the process
	Base   string           // base domain for $context; "" is headless.ly
	Clock  func() time.Time // nil: time.Now
	Engine EngineConfig
}

// Reader answers reads. It is safe for concurrent use.
type Reader struct {
	log      Log
	lake     Lake
	nouns    *noun.Registry
	schemas  schemas
	resolver *resolver
	engine   *Engine
	sealer   sealer
	base     string
	clock    func() time.Time
}

// Open starts a reader; Close ends it.
func Open(cfg Config) (*Reader, error) {
	if cfg.Log == nil || cfg.Lake == nil || cfg.Nouns == nil {
		return nil, errors.New("open reader: Log, Lake and Nouns are required")
	}
	if cfg.Base == "" {
		cfg.Base = "headless.ly"
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if len(cfg.Secret) == 0 {
		cfg.Secret = make([]byte, 32)
		_, _ = rand.Read(cfg.Secret) // never fails
	}
	if cfg.Engine.Warehouse == "" {
		return nil, errors.New("open reader: Engine.Warehouse is required: it is the only folder that queries may read")
	}
	all := newSchemas(cfg.Nouns)
	engine, err := openEngine(cfg.Engine, cfg.Log, all, vocabulary{cfg.Nouns})
	if err != nil {
		return nil, err
	}
	return &Reader{
		log:      cfg.Log,
		lake:     cfg.Lake,
		nouns:    cfg.Nouns,
		schemas:  all,
		resolver: &resolver{cfg.Nouns, all},
		engine:   engine,
		sealer:   sealer{cfg.Secret},
		base:     cfg.Base,
		clock:    cfg.Clock,
	}, nil
}

// Ping runs a statement in a database of its own: whether reads work at all.
func (r *Reader) Ping(ctx context.Context) error { return r.engine.ping(ctx) }

// EngineStatus tells how the process does that queries run in.
func (r *Reader) EngineStatus() engine.Status { return r.engine.process.Status() }

// Close frees the engine. Queries that run fail or finish; later ones are refused.
func (r *Reader) Close() error { return r.engine.Close() }
