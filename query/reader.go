package query

import (
	"context"
	"net/url"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
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
	Type    string // pattern list of 3.6; "" is everything
	Noun    string // events of this noun, by its exact name
	Target  string // events of this entity; Noun may stay empty
	Actor   string
	Verb    string // imperatives, comma separated
	Since   string // instant, inclusive
	Until   string // instant, inclusive
	After   string // event id, exclusive; or an instant, as Since
	Before  string // event id, exclusive; or an instant, as Until
	Cursor  string // event id: strictly behind it in the order asked
	Order   string // "asc" or "desc"; "" is asc
	Limit   int    // 1 to 1,000; 0 is 100
	AsOf    string
	Strong  bool
	MinSeq  int64
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
	Log     Log
	Lake    Lake
	Nouns   *noun.Registry
	Secret  []byte           // signs cursors; empty: a random one, cursors then end with the process
	Base    string           // base domain for $context; "" is headless.ly
	Clock   func() time.Time // nil: time.Now
	Engine  EngineConfig
}

// Reader answers reads. It is safe for concurrent use.
type Reader struct{}

// Open starts a reader; Close ends it.
func Open(cfg Config) (*Reader, error)

// Close ends the running queries and frees the engine.
func (r *Reader) Close() error

// Get gives one entity by $id or natural key.
func (r *Reader) Get(ctx context.Context, tenant string, n *noun.Noun, key string, o Options) (Answer, error)

// List gives one page of entities.
func (r *Reader) List(ctx context.Context, tenant string, n *noun.Noun, q Query) (Page, error)

// Related gives one page of the entities that a relationship of one entity names.
func (r *Reader) Related(ctx context.Context, tenant string, n *noun.Noun, key, relationship string, q Query) (Page, error)

// Resolve gives the $id behind a natural key (interfaces.md 1.4); an id is checked to exist.
func (r *Reader) Resolve(ctx context.Context, tenant string, n *noun.Noun, key string) (string, error)

// Events gives one page of the log.
func (r *Reader) Events(ctx context.Context, tenant string, q EventQuery) (EventPage, error)

// Event gives one event by its evt_ id.
func (r *Reader) Event(ctx context.Context, tenant, id string) (*lakehouse.Event, error)

// Diff compares one entity between two instants or versions.
func (r *Reader) Diff(ctx context.Context, tenant string, n *noun.Noun, key, from, to string) (Diff, error)

// ParseValues reads the list parameters of interfaces.md 2.4.
func ParseValues(n *noun.Noun, v url.Values) (Query, error)

// ParseEventValues reads the parameters of interfaces.md 3.3.
func ParseEventValues(v url.Values) (EventQuery, error)
