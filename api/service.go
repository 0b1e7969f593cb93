package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"headless.ly/api/imports"
	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/ingest/erasure"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

// Probe is one thing that must work for the service to be ready.
type Probe struct {
	Name  string
	Check func(ctx context.Context) error
}

// Config says what a Service is made of. Store, Reader, Lake and Nouns are required; the zero value of everything else
// means the default in its comment.
type Config struct {
	Store  *ingest.Store
	Reader *query.Reader
	Lake   *lakehouse.Lake
	Nouns  *noun.Registry

	Imports *imports.Jobs // required by the routes of imports and jobs
	Assets  string        // folder for the entity files of manifests, which may be deleted at any time; required by their routes

	Eraser  *erasure.Eraser // erases tenants; none: not served
	Iceberg http.Handler    // the Iceberg REST catalog, from /v1 on; none: not served

	Base    string  // the base domain in $context and in links: headless.ly
	Version string  // what the service calls itself: dev
	Probes  []Probe // what /readyz tries, each time it is asked

	MaxBody     int64         // 10 MB (10 × 2^20 bytes): the body of a request other than an import
	ReadTimeout time.Duration // 30 s: a list, the events, a diff
	Logger      *slog.Logger  // slog.Default()
}

// Service answers requests. It is safe for concurrent use and holds no state of its own but what Config gives it.
type Service struct {
	cfg     Config
	store   *ingest.Store
	reader  *query.Reader
	lake    *lakehouse.Lake
	nouns   *noun.Registry
	imports *imports.Jobs
	assets  *assets
	log     *slog.Logger
	engine  *gin.Engine
	forms   conjugations
	probing chan struct{} // holds the one /readyz that probes
}

// New builds a Service from parts that the caller opened and will close, after the last request.
func New(cfg Config) *Service {
	cfg = cfg.withDefaults()
	s := &Service{
		cfg:     cfg,
		store:   cfg.Store,
		reader:  cfg.Reader,
		lake:    cfg.Lake,
		nouns:   cfg.Nouns,
		imports: cfg.Imports,
		assets:  newAssets(cfg.Assets),
		log:     cfg.Logger,
		forms:   conjugate(cfg.Nouns),
		probing: make(chan struct{}, 1),
	}
	s.engine = s.routes()
	return s
}

func (cfg Config) withDefaults() Config {
	if cfg.Base == "" {
		cfg.Base = "headless.ly"
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 10 << 20
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

// Store gives the write side.
func (s *Service) Store() *ingest.Store { return s.store }

// Reader gives the read side.
func (s *Service) Reader() *query.Reader { return s.reader }

// Lake gives the published side.
func (s *Service) Lake() *lakehouse.Lake { return s.lake }

// Imports gives the imports that are under way; nil: there are none.
func (s *Service) Imports() *imports.Jobs { return s.imports }

// Nouns gives what may be written and read.
func (s *Service) Nouns() *noun.Registry { return s.nouns }

// Base gives the base domain of $context and links.
func (s *Service) Base() string { return s.cfg.Base }

// ServeHTTP answers one request. It brings the path into the one form that the routes know (a written-out %7E is ~, slashes
// at the end mean nothing) and answers preflights, which need no route.
func (s *Service) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodOptions {
		preflight(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.engine.ServeHTTP(w, plainPath(req))
}

// plainPath gives the request itself where its path is plain already, as almost all are.
func plainPath(req *http.Request) *http.Request {
	path := req.URL.EscapedPath()
	plain := path
	if len(plain) > 1 && strings.HasSuffix(plain, "/") {
		plain = "/" + strings.Trim(plain, "/")
	}
	if len(plain) > 3 && strings.EqualFold(plain[:4], "/%7e") {
		plain = "/~" + plain[4:]
	}
	if plain == path {
		return req
	}
	u := *req.URL
	u.RawPath = plain
	u.Path = unescape(plain)
	again := *req
	again.URL = &u
	return &again
}
