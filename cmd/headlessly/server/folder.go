package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/ingest/erasure"
	"headless.ly/lakehouse"
)

// Folder is a data folder that is open without a server: for commands that work on it while none runs. It publishes when it is
// asked to, and answers no queries.
type Folder struct{ server *Server }

// OpenFolder opens a data folder that exists. lakehouse.ErrLocked where a server, or another such command, has it.
func OpenFolder(ctx context.Context, cfg Config) (*Folder, error) {
	var err error
	if cfg.Data, err = filepath.Abs(cfg.Data); err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "catalog.db")); err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	cfg.Interval = -1
	s := &Server{cfg: cfg.withDefaults(), failed: make(chan error, 1)}
	if err := s.openData(ctx, noun.Core()); err != nil {
		_ = s.closeParts(context.WithoutCancel(ctx)) // the first error says it
		return nil, err
	}
	return &Folder{s}, nil
}

// Store gives the write side.
func (f *Folder) Store() *ingest.Store { return f.server.store }

// Lake gives the published side.
func (f *Folder) Lake() *lakehouse.Lake { return f.server.lake }

// Eraser erases tenants of the folder.
func (f *Folder) Eraser() *erasure.Eraser { return erasure.New(f.server.erasing()) }

// Close closes the folder. What was not published is at the next start.
func (f *Folder) Close(ctx context.Context) error { return f.server.closeParts(ctx) }
