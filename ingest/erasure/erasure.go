package erasure

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"headless.ly/catalog"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// Steps that Config.Step hears, beside those of the log and the lake: when each is done, on disk.
const (
	stepTombstone = "erase.tombstone"
	stepNames     = "erase.names" // catalog.db names the tenant no more
	stepSpace     = "erase.space"
	stepReceipt   = "erase.receipt"
	stepEnd       = "erase.end"
)

// sampled is the number of events whose ids are looked for afterwards.
const sampled = 500

// Config says what an Eraser works on. Dir and Lake are required.
type Config struct {
	Dir   string // the data folder
	Lake  *lakehouse.Lake
	Store *ingest.Store // nil where none is open: then only Resume works

	// Forget drops what is kept of a tenant elsewhere, in memory or in files; each is called before files are removed. It is done
	// with the tenant when it returns, and keeps nothing of it before resume is called.
	Forget []func(ctx context.Context, tenant string) (resume func(), err error)

	Clock  func() time.Time // time.Now
	Step   func(string)     // for tests: nothing
	Logger *slog.Logger     // slog.Default()
}

// Eraser erases tenants. It is safe for concurrent use; erasures take turns.
type Eraser struct {
	cfg  Config
	turn chan struct{} // holds the one that runs

	mu     sync.Mutex        // guards barred
	barred map[string]func() // tenants that an erasure which failed keeps closed, with what opens them
}

// New makes an Eraser of parts that the caller opened and will close.
func New(cfg Config) *Eraser {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Step == nil {
		cfg.Step = func(string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Eraser{cfg: cfg, turn: make(chan struct{}, 1), barred: map[string]func(){}}
}

// plan is what a tombstone knows of its erasure.
type plan struct {
	Tables  []string `json:"tables,omitempty"`  // of the lake, that hold something of the tenant
	Markers []string `json:"markers,omitempty"` // ids of the tenant, which nothing may hold afterwards
	Receipt Receipt  `json:"receipt"`           // as far as it is known
}

// Erase erases a tenant for good and gives the receipt, which is in the data folder then. problem.NotFound for a tenant that does
// not exist. After another error the tenant stays closed; Erase again, or the next start, goes on with it.
func (e *Eraser) Erase(ctx context.Context, tenant string) (Signed, error) {
	if !ingest.ValidTenant(tenant) {
		return Signed{}, problem.New(problem.InvalidTenant, "%q is no tenant's name", tenant)
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return Signed{}, ctx.Err()
	}
	signed, err := e.erase(ctx, tenant)
	if err != nil && !problem.Is(err, problem.NotFound) {
		e.cfg.Logger.Error("erase tenant", "error", err)
	}
	return signed, err
}

func (e *Eraser) erase(ctx context.Context, tenant string) (Signed, error) {
	if err := e.finish(ctx); err != nil {
		return Signed{}, err
	}
	stone, found, err := e.tombstone(ctx, tenant)
	if err != nil {
		return Signed{}, err
	}
	if !found {
		if stone, err = e.begin(ctx, tenant); err != nil {
			return Signed{}, err
		}
	}
	ctx = context.WithoutCancel(ctx) // what has begun is finished, whoever left
	signed, err := e.run(ctx, stone)
	if err != nil {
		err = fmt.Errorf("erase tenant: %w", err)
		if _, held, stoneErr := e.tombstone(ctx, tenant); held || stoneErr != nil {
			return Signed{}, errors.Join(err, stoneErr)
		}
	}
	e.lift(tenant) // nothing of it is left, even if the receipt is still to be written
	return signed, err
}

// finish goes on with erasures that failed when all was removed.
func (e *Eraser) finish(ctx context.Context) error {
	all, err := e.cfg.Lake.Database().Erasures(ctx)
	if err != nil {
		return err
	}
	for _, stone := range all {
		if stone.Stage == catalog.EraseFiles {
			continue
		}
		if _, err := e.run(ctx, stone); err != nil {
			return fmt.Errorf("finish erasure %s: %w", stone.ID, err)
		}
	}
	return nil
}

// tombstone finds that of an erasure which failed before.
func (e *Eraser) tombstone(ctx context.Context, tenant string) (catalog.Erasure, bool, error) {
	all, err := e.cfg.Lake.Database().Erasures(ctx)
	if err != nil {
		return catalog.Erasure{}, false, err
	}
	i := slices.IndexFunc(all, func(s catalog.Erasure) bool { return s.Tenant == tenant })
	if i < 0 {
		return catalog.Erasure{}, false, nil
	}
	return all[i], true, nil
}

// begin closes the tenant and writes its tombstone.
func (e *Eraser) begin(ctx context.Context, tenant string) (catalog.Erasure, error) {
	none := catalog.Erasure{}
	p, err := e.plan(ctx, tenant)
	if err != nil {
		return none, err
	}
	lift, err := e.cfg.Store.Bar(ctx, tenant, "is being erased")
	if err != nil {
		return none, err
	}
	stone := catalog.Erasure{ID: p.Receipt.ID, Tenant: tenant, Stage: catalog.EraseFiles, Began: p.Receipt.Began, Plan: p.text()}
	err = e.cfg.Lake.Apart(ctx, func() error { return e.cfg.Lake.Database().BeginErasure(ctx, stone) })
	if err != nil {
		lift()
		return none, err
	}
	e.mu.Lock()
	e.barred[tenant] = lift
	e.mu.Unlock()
	e.cfg.Step(stepTombstone)
	return stone, nil
}

// lift opens a name again.
func (e *Eraser) lift(tenant string) {
	e.mu.Lock()
	lift := e.barred[tenant]
	delete(e.barred, tenant)
	e.mu.Unlock()
	if lift != nil {
		lift()
	}
}

// plan looks at what is to go.
func (e *Eraser) plan(ctx context.Context, tenant string) (*plan, error) {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	p := &plan{Receipt: Receipt{Format: receiptFormat, ID: "erasure_" + uuid.NewString(), Salt: hex.EncodeToString(salt), Began: e.cfg.Clock().UTC()}}
	p.Receipt.Tenant = HashTenant(p.Receipt.Salt, tenant)
	tables, err := e.cfg.Lake.Holding(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if !e.cfg.Store.Status(tenant).Exists && len(tables) == 0 {
		return nil, problem.New(problem.NotFound, "there is no tenant %q", tenant)
	}
	head, err := e.cfg.Store.Barrier(ctx, tenant)
	if err == nil {
		p.Receipt.Events = head
		p.Markers, err = e.sample(ctx, tenant, head)
	}
	if err != nil { // a log that cannot be read is erased as well
		e.cfg.Logger.Warn("erase tenant: its log cannot be read", "error", err)
	}
	return p, nil
}

// sample gives ids that are the tenant's alone, of events all over its log.
func (e *Eraser) sample(ctx context.Context, tenant string, head int64) ([]string, error) {
	var ids []string
	step := max(1, head/sampled)
	for seq := int64(1); seq <= head; seq += step {
		err := e.cfg.Store.Read(ctx, tenant, lakehouse.Range{After: seq - 1, Upto: seq}, func(ev *lakehouse.Event) error {
			ids = append(ids, ev.ID, ev.Target)
			return nil
		})
		if err != nil {
			return ids, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (p *plan) text() []byte {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return text
}

// HashTenant is how a receipt names a tenant: SHA-256, in hexadecimal, of the salt, a colon and the name.
func HashTenant(salt, tenant string) string {
	sum := sha256.Sum256([]byte(salt + ":" + tenant))
	return hex.EncodeToString(sum[:])
}

// Resume finishes the erasures that earlier processes have begun. It is called before the tenants' logs are opened.
func Resume(ctx context.Context, cfg Config) error {
	e := New(cfg)
	all, err := e.cfg.Lake.Database().Erasures(ctx)
	if err != nil {
		return err
	}
	for _, stone := range all {
		if _, err := e.run(ctx, stone); err != nil {
			return fmt.Errorf("finish erasure %s: %w", stone.ID, err)
		}
		e.cfg.Logger.Info("finished an erasure that was cut short", "erasure", stone.ID)
	}
	return nil
}

// run takes an erasure from the stage that its tombstone says to its end.
func (e *Eraser) run(ctx context.Context, stone catalog.Erasure) (Signed, error) {
	p := &plan{}
	if err := json.Unmarshal(stone.Plan, p); err != nil {
		return Signed{}, fmt.Errorf("read tombstone: %w", err)
	}
	db := e.cfg.Lake.Database()
	markers := p.Markers
	if stone.Stage == catalog.EraseFiles {
		if err := e.list(ctx, stone, p); err != nil {
			return Signed{}, err
		}
		if err := e.remove(ctx, stone.Tenant, p); err != nil {
			return Signed{}, err
		}
		tenant := stone.Tenant
		p.Tables, p.Markers = nil, nil
		stone.Plan = p.text()
		if err := db.ForgetTenant(ctx, stone); err != nil {
			return Signed{}, err
		}
		stone.Tenant, stone.Stage = "", catalog.EraseSpace
		e.cfg.Step(stepNames)
		markers = append(markers, "tenant="+tenant+"/")
	}
	if stone.Stage == catalog.EraseSpace {
		if err := db.ClearSpace(ctx); err != nil {
			return Signed{}, err
		}
		e.cfg.Step(stepSpace)
		found, err := search(e.cfg.Dir, markers)
		if err != nil {
			return Signed{}, err
		}
		if len(markers) > 0 { // a resumed erasure knows none: they went with the names
			p.Receipt.Searched = &Searched{Files: found.Files, Bytes: found.Bytes, Markers: len(markers), Found: found.At}
		}
		stone.Stage = catalog.EraseReceipt
		stone.Plan = p.text()
		if err := db.UpdateErasure(ctx, stone); err != nil {
			return Signed{}, err
		}
	}
	return e.conclude(ctx, stone, p)
}

// list notes durably which tables hold something of the tenant: once its rows are gone, they alone tell nothing.
func (e *Eraser) list(ctx context.Context, stone catalog.Erasure, p *plan) error {
	holding, err := e.cfg.Lake.Holding(ctx, stone.Tenant)
	if err != nil {
		return err
	}
	all := slices.Sorted(slices.Values(append(holding, p.Tables...)))
	if all = slices.Compact(all); slices.Equal(all, p.Tables) {
		return nil
	}
	p.Tables = all
	stone.Plan = p.text()
	return e.cfg.Lake.Database().UpdateErasure(ctx, stone)
}

// remove removes the tenant's files and rows.
func (e *Eraser) remove(ctx context.Context, tenant string, p *plan) error {
	for _, forget := range e.cfg.Forget {
		resume, err := forget(ctx, tenant)
		if resume != nil {
			defer resume()
		}
		if err != nil {
			return err
		}
	}
	files, size, err := ingest.RemoveTenant(e.cfg.Dir, tenant, e.cfg.Step)
	p.Receipt.Log.Files, p.Receipt.Log.Bytes = p.Receipt.Log.Files+files, p.Receipt.Log.Bytes+size
	if err != nil {
		return err
	}
	lake, err := e.cfg.Lake.Erase(ctx, tenant, p.Tables)
	if err != nil {
		return err
	}
	p.Receipt.Lake = Lake{Tables: len(p.Tables), Files: lake.Files, Bytes: lake.Bytes, Metadata: lake.Metadata, Snapshots: lake.Snapshots}
	p.Receipt.Other, err = removeNamed(e.cfg.Dir, tenant)
	return err
}

// conclude writes the receipt and removes the tombstone.
func (e *Eraser) conclude(ctx context.Context, stone catalog.Erasure, p *plan) (Signed, error) {
	p.Receipt.Ended = e.cfg.Clock().UTC()
	key, err := e.key(ctx)
	if err != nil {
		return Signed{}, err
	}
	signed, err := sign(key, p.Receipt)
	if err != nil {
		return Signed{}, err
	}
	if err := keep(e.cfg.Dir, signed, p.Receipt.ID); err != nil {
		return Signed{}, err
	}
	e.cfg.Step(stepReceipt)
	if err := e.cfg.Lake.Database().EndErasure(ctx, stone.ID); err != nil {
		return Signed{}, err
	}
	e.cfg.Step(stepEnd)
	return signed, nil
}
