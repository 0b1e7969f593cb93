package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"headless.ly/api"
)

// probeTenant is a name that no tenant can have. Marking it open and closed again is a durable write to catalog.db.
const probeTenant = "~readyz"

// probes are what /readyz tries: the disk, the catalog's database and the engine, each for real, none through a tenant.
func (s *Server) probes() []api.Probe {
	return []api.Probe{
		{Name: "disk", Check: s.probeDisk},
		{Name: "catalog", Check: s.probeCatalog},
		{Name: "engine", Check: s.reader.Ping},
	}
}

// probeDisk writes, syncs and reads a file in the data folder.
func (s *Server) probeDisk(context.Context) error {
	dir := filepath.Join(s.cfg.Data, "tmp")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	want := []byte(time.Now().UTC().Format(time.RFC3339Nano))
	path := filepath.Join(dir, probeFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(want)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s does not hold what was written to it", path)
	}
	return os.Remove(path)
}

// probeCatalog writes a row durably and reads the table it stands in.
func (s *Server) probeCatalog(ctx context.Context) error {
	db := s.lake.Database()
	if err := db.MarkOpen(ctx, probeTenant); err != nil {
		return err
	}
	_, err := db.OpenTenants(ctx)
	return errors.Join(err, db.MarkClosed(ctx, probeTenant))
}
