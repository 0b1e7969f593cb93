package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/query"
	"headless.ly/query/format"
)

const (
	// assetAge is how long an entity file answers although its entities have changed since: making it costs a scan of all of them.
	assetAge = 5 * time.Second
	// assetShare is the share of time that may go into making a file again: one that took a second answers for ten.
	assetShare = 10
	// assetWait is how long a request waits for others that make the same file.
	assetWait = time.Minute
)

// assets makes and keeps the entity files of tenants: all live entities of a noun as Parquet. They lie in
// DIR/<tenant>/<Noun>.parquet with what is known of each beside it, and are replaced as a whole.
type assets struct {
	dir string

	mu    sync.Mutex // guards turns and what is in them
	turns map[string]*assetTurn
}

// assetTurn is held by who makes a file.
type assetTurn struct {
	held  chan struct{}
	users int // that hold it or wait for it
}

// assetFile is what is known of an entity file.
type assetFile struct {
	Hash    string    `json:"hash"` // SHA-256, hexadecimal
	Size    int64     `json:"size"`
	Records int64     `json:"records"`
	Seq     int64     `json:"seq"` // at which it was read
	Made    time.Time `json:"made"`
	TookMS  int64     `json:"tookMs"`
}

func newAssets(dir string) *assets { return &assets{dir: dir, turns: map[string]*assetTurn{}} }

// turn waits until nobody else makes the file.
func (a *assets) turn(ctx context.Context, name string) (leave func(), err error) {
	a.mu.Lock()
	turn, ok := a.turns[name]
	if !ok {
		turn = &assetTurn{held: make(chan struct{}, 1)}
		a.turns[name] = turn
	}
	turn.users++
	a.mu.Unlock()
	gone := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if turn.users--; turn.users == 0 {
			delete(a.turns, name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, assetWait)
	defer cancel()
	select {
	case turn.held <- struct{}{}:
		return func() { <-turn.held; gone() }, nil
	case <-ctx.Done():
		gone()
		p := problem.New(problem.Unavailable, "the file is being made")
		p.RetryAfter = time.Second
		return nil, p
	}
}

func (a *assets) path(tenant string, n *noun.Noun) string {
	return filepath.Join(a.dir, tenant, n.Name+assetEnd)
}

// known reads what is known of a file; false if there is none that can be used.
func (a *assets) known(path string) (f assetFile, ok bool) {
	text, err := os.ReadFile(path + ".json")
	if err != nil || json.Unmarshal(text, &f) != nil {
		return f, false
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(path), f.fileName(path)))
	return f, err == nil && info.Size() == f.Size
}

// fileName is the name under which the content lies: by its hash, so that a description never stands beside another content.
func (f assetFile) fileName(path string) string {
	return filepath.Base(path) + "-" + f.Hash[:min(len(f.Hash), 16)]
}

// fresh says whether a file still answers for a noun that was changed last at a seq.
func (f assetFile) fresh(changed int64) bool {
	return changed <= f.Seq || time.Since(f.Made) < max(assetAge, assetShare*time.Duration(f.TookMS)*time.Millisecond)
}

// openAsset gives an entity file, opened, made anew if it has to be; nil for a noun without entities.
func (r *request) openAsset(n *noun.Noun) (assetFile, *os.File, error) {
	a := r.s.assets
	path := a.path(r.tenant, n)
	leave, err := a.turn(r.c.Request.Context(), path)
	if err != nil {
		return assetFile{}, nil, err
	}
	defer leave()
	changed, err := r.s.store.LastChange(r.c.Request.Context(), r.tenant, n.Name)
	if err != nil || changed == 0 {
		return assetFile{}, nil, err
	}
	known, ok := a.known(path)
	if !ok || !known.fresh(changed) {
		if known, err = r.makeAsset(n, path, known); err != nil {
			return assetFile{}, nil, fmt.Errorf("make %s of %s: %w", n.Name, r.tenant, err)
		}
	}
	f, err := os.Open(filepath.Join(filepath.Dir(path), known.fileName(path)))
	return known, f, err
}

// makeAsset makes an entity file in the place of the one that was known. Nothing of it has to survive a crash.
func (r *request) makeAsset(n *noun.Noun, path string, before assetFile) (made assetFile, err error) {
	start := time.Now()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return made, err
	}
	e, err := r.s.reader.ExportRows(r.c.Request.Context(), r.tenant, n, query.Query{})
	if err != nil {
		return made, err
	}
	defer e.Close()
	f, err := os.CreateTemp(filepath.Dir(path), ".making-")
	if err != nil {
		return made, err
	}
	defer os.Remove(f.Name()) // gone already where all went well
	hash := sha256.New()
	made = assetFile{Seq: e.Seq, Made: start.UTC()}
	made.Records, err = writeTable(e, format.Parquet, io.MultiWriter(f, hash))
	if err == nil {
		made.Size, err = f.Seek(0, io.SeekEnd)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return made, err
	}
	made.Hash, made.TookMS = hex.EncodeToString(hash.Sum(nil)), time.Since(start).Milliseconds()
	if err := os.Rename(f.Name(), filepath.Join(filepath.Dir(path), made.fileName(path))); err != nil {
		return made, err
	}
	text, err := json.Marshal(made)
	if err == nil {
		err = os.WriteFile(path+".json.next", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".json.next", path+".json")
	}
	if err == nil && before.Hash != "" && before.Hash != made.Hash {
		err = os.Remove(filepath.Join(filepath.Dir(path), before.fileName(path)))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	return made, err
}

// manifestEntry describes an entity file (interfaces.md 2.13).
type manifestEntry struct {
	Hash    string `json:"hash"`
	Size    int64  `json:"size"`
	Records int64  `json:"records"`
}

// manifest: GET /~tenant/manifest, the entity files of all nouns that the tenant has entities of
func manifest(r *request) error {
	counts, err := r.s.store.Counts(r.c.Request.Context(), r.tenant)
	if err != nil {
		return err
	}
	out := struct {
		Files       map[string]manifestEntry `json:"files"`
		GeneratedAt time.Time                `json:"generatedAt"`
	}{map[string]manifestEntry{}, time.Now().UTC().Truncate(time.Millisecond)}
	for _, n := range r.s.nouns.All() {
		if counts[n.Name] == 0 {
			continue
		}
		made, f, err := r.openAsset(n)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil {
			return err
		}
		out.Files[n.Name+assetEnd] = manifestEntry{"sha256:" + made.Hash, made.Size, made.Records}
		extendAnswer(r)
	}
	return r.sendJSON(http.StatusOK, out)
}

// extendAnswer gives the rest of an answer its time.
func extendAnswer(r *request) {
	_ = http.NewResponseController(r.c.Writer).SetWriteDeadline(time.Now().Add(2 * exportStep)) // one without deadlines needs none
}

// assetEnd is how the names of entity files end: other words behind assets are ids of the noun of that name.
const assetEnd = ".parquet"

// asset: GET /~tenant/assets/{Noun}.parquet, with ETag and ranges
func asset(r *request) error {
	name, isFile := strings.CutSuffix(r.id, assetEnd)
	if !isFile {
		var err error
		r.name = "assets"
		if r.noun, err = r.s.resolveNoun(r.name); err != nil {
			return err
		}
		return getEntity(r)
	}
	n, ok := r.s.nouns.Get(name)
	if !ok {
		return problem.New(problem.NotFound, "there is no file %q; those of entities are called Contact.parquet", cut(r.id))
	}
	made, f, err := r.openAsset(n)
	if err != nil {
		return err
	}
	if f == nil {
		p := problem.New(problem.NotFound, "the tenant has no %s", n.Name)
		p.Type = n.Name
		return p
	}
	defer f.Close() // it was only read
	h := r.c.Writer.Header()
	h["Content-Type"] = []string{"application/octet-stream"}
	h["Etag"] = []string{`"sha256:` + made.Hash + `"`}
	h["Cache-Control"] = []string{"private, no-cache"}
	w := &patientWriter{w: r.c.Writer, controller: http.NewResponseController(r.c.Writer)}
	http.ServeContent(w, r.c.Request, "", made.Made.Truncate(time.Second), f)
	return nil
}
