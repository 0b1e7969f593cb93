package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"headless.ly/api"
	"headless.ly/api/imports"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/rest"
	"headless.ly/ingest"
	"headless.ly/ingest/erasure"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

// Config says what to serve and where. Data is required; the zero value of everything else means the default in its
// comment.
type Config struct {
	Addr string // 127.0.0.1:8787; port 0 is any free one
	Data string // the data folder

	// Prepare runs before the first request is served; its error ends Open. Connections wait meanwhile.
	Prepare func(context.Context, *Server) error

	Interval time.Duration    // 1 s between two publishings
	KeepLog  time.Duration    // the age at which events leave the tenants' logs, to be read from the lake; 0: never
	Keep     time.Duration    // 1 h for which files of the lake stay that nothing names any more
	Step     func(string)     // called at each step of publishing and maintenance, for tests
	Hooks    *ingest.Hooks    // none
	Clock    func() time.Time // time.Now
	Base     string           // headless.ly: the base domain in $context and links
	Version  string           // dev
	Logger   *slog.Logger     // slog.Default()
}

// Limits of the HTTP server.
const (
	headerTimeout  = 10 * time.Second // a request's header
	readTimeout    = time.Minute      // a whole request; an import renews it with each part
	writeTimeout   = 2 * time.Minute  // from the header's end to the answer's; imports and exports renew it likewise
	idleTimeout    = 2 * time.Minute  // a connection between two requests
	maxHeaderBytes = 1 << 20          // a filter of 64 KB, escaped, fits

	// drainShare is the part of Close's time that running requests get; publishing needs the rest.
	drainShare = 0.4
	// probeFile is what /readyz writes into DIR/tmp.
	probeFile = "readyz"
)

// Server is a running server. It is safe for concurrent use.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	service  *api.Service
	lake     *lakehouse.Lake
	store    *ingest.Store
	reader   *query.Reader
	imports  *imports.Jobs
	failed   chan error // what Serve returned, if it was not asked to

	closing sync.Once
	closed  error // result of Close
}

// Open opens the data folder, makes it if it is not there, and serves it. ctx bounds the opening only.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	var err error
	if cfg.Data, err = filepath.Abs(cfg.Data); err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	s := &Server{cfg: cfg, failed: make(chan error, 1)}
	err = s.open(ctx)
	if err == nil && cfg.Prepare != nil {
		err = cfg.Prepare(ctx, s)
	}
	if err != nil {
		return nil, errors.Join(err, s.closeParts(context.WithoutCancel(ctx)))
	}
	go s.serve()
	return s, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:8787"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return cfg
}

// open opens part after part; what it opened before an error is in s.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.listener, err = listen(ctx, s.cfg.Addr); err != nil {
		return err
	}
	nouns := noun.Core()
	if err := s.openData(ctx, nouns); err != nil {
		return err
	}
	secret, err := s.lake.Database().Secret(ctx, "cursor")
	if err != nil {
		return fmt.Errorf("read cursor secret: %w", err)
	}
	s.reader, err = query.Open(query.Config{
		Log: s.store, Lake: s.lake, Nouns: nouns, Secret: secret, Base: s.cfg.Base, Clock: s.cfg.Clock,
		Engine: query.EngineConfig{
			Warehouse: filepath.Join(s.cfg.Data, "warehouse"), TempDir: filepath.Join(s.cfg.Data, "tmp"), Folders: s.lake.Folders,
			Logger: s.cfg.Logger,
		},
	})
	if err != nil {
		return fmt.Errorf("open reader: %w", err)
	}
	s.imports, err = imports.Open(imports.Config{Dir: s.cfg.Data, Nouns: nouns, Store: s.store, Logger: s.cfg.Logger})
	if err != nil {
		return fmt.Errorf("open imports: %w", err)
	}
	s.service = api.New(api.Config{
		Store: s.store, Reader: s.reader, Lake: s.lake, Nouns: nouns, Eraser: erasure.New(s.erasing()),
		Imports: s.imports, Assets: filepath.Join(s.cfg.Data, "cache", "assets"),
		Iceberg: rest.New(rest.Config{Catalog: s.lake.Database().Iceberg(), Logger: s.cfg.Logger}),
		Base:    s.cfg.Base, Version: s.cfg.Version, Probes: s.probes(), Logger: s.cfg.Logger,
	})
	s.http = &http.Server{
		Handler:           s.service,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
	}
	return nil
}

// openData opens the data folder, which it makes if it is not there, and starts publishing.
func (s *Server) openData(ctx context.Context, nouns *noun.Registry) error {
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	var err error
	s.lake, err = lakehouse.Open(ctx, lakehouse.Config{
		Dir: s.cfg.Data, Nouns: nouns, Interval: s.cfg.Interval, Step: s.cfg.Step, Logger: s.cfg.Logger,
		KeepFiles: s.cfg.Keep,
	})
	if err != nil {
		return fmt.Errorf("open lake: %w", err)
	}
	if err := s.lake.MakeViews(ctx); err != nil {
		return fmt.Errorf("make views: %w", err)
	}
	if err := erasure.Resume(ctx, s.erasing()); err != nil {
		return err
	}
	if err := s.openStore(ctx, nouns); err != nil {
		return err
	}
	s.lake.Start(s.store)
	return nil
}

// erasing says what erasures work on.
func (s *Server) erasing() erasure.Config {
	cfg := erasure.Config{Dir: s.cfg.Data, Lake: s.lake, Store: s.store, Clock: s.cfg.Clock, Step: s.cfg.Step, Logger: s.cfg.Logger}
	if s.reader != nil {
		cfg.Forget = append(cfg.Forget, func(ctx context.Context, tenant string) (func(), error) {
			return func() {}, s.reader.Forget(ctx, tenant)
		})
	}
	if s.imports != nil {
		cfg.Forget = append(cfg.Forget, s.imports.Forget)
	}
	return cfg
}

// openStore opens the writers, and the tenants that may hold what is not published.
func (s *Server) openStore(ctx context.Context, nouns *noun.Registry) error {
	db := s.lake.Database()
	sweep, err := db.OpenTenants(ctx)
	if err != nil {
		return fmt.Errorf("list open tenants: %w", err)
	}
	if slices.Contains(sweep, probeTenant) { // a probe that a crash cut in two
		sweep = slices.DeleteFunc(sweep, func(t string) bool { return t == probeTenant })
		if err := db.MarkClosed(ctx, probeTenant); err != nil {
			return fmt.Errorf("end probe: %w", err)
		}
	}
	s.store, err = ingest.Open(ctx, ingest.Config{
		Dir: s.cfg.Data, Nouns: nouns, Registrar: db, Published: s.lake.Published,
		Hooks: s.cfg.Hooks, Clock: s.cfg.Clock, Step: s.cfg.Step, Logger: s.cfg.Logger,
		Older: s.lake, KeepLog: s.cfg.KeepLog,
	}, sweep)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return nil
}

func (s *Server) serve() {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("serve: %w", err)
	}
}

// Failed gives the error that ended serving, if one does before Close.
func (s *Server) Failed() <-chan error { return s.failed }

// Addr is the address listened on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the address as clients write it.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Service gives the parts behind the doors.
func (s *Server) Service() *api.Service { return s.service }

// Close refuses new requests, waits for the running ones, publishes, and closes everything. When ctx ends it cuts short
// what is left; what was acknowledged is safe in any case. It may be called more than once.
func (s *Server) Close(ctx context.Context) error {
	s.closing.Do(func() { s.closed = s.close(ctx) })
	return s.closed
}

func (s *Server) close(ctx context.Context) error {
	drain := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		drain, cancel = context.WithTimeout(ctx, time.Duration(float64(time.Until(end))*drainShare))
		defer cancel()
	}
	var errs []error
	if err := s.http.Shutdown(drain); err != nil {
		// Requests that are still running lose their connection; their writes finish in the store.
		errs = append(errs, fmt.Errorf("finish requests: %w", err), s.http.Close())
	}
	if err := s.imports.Close(); err != nil {
		errs = append(errs, fmt.Errorf("stop imports: %w", err))
	}
	if err := s.lake.Publish(ctx); err != nil {
		errs = append(errs, fmt.Errorf("publish: %w", err))
	}
	return errors.Join(append(errs, s.closeParts(ctx))...)
}

// closeParts closes what is open: the store while the lake's database can still note that its tenants are closed.
func (s *Server) closeParts(ctx context.Context) error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close listener: %w", err))
		}
	}
	if s.imports != nil {
		if err := s.imports.Close(); err != nil {
			errs = append(errs, fmt.Errorf("stop imports: %w", err))
		}
	}
	if s.store != nil {
		if err := s.store.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close store: %w", err))
		}
	}
	if s.reader != nil {
		if err := s.reader.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close reader: %w", err))
		}
	}
	if s.lake != nil {
		if err := s.lake.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close lake: %w", err))
		}
	}
	return errors.Join(errs...)
}
