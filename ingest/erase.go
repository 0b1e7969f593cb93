package ingest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Bar closes a tenant behind the calls already accepted, and keeps it closed until lift is called: calls are answered
// problem.Unavailable meanwhile, and nothing of the store touches its files. why continues "the tenant".
func (s *Store) Bar(ctx context.Context, tenant, why string) (lift func(), err error) {
	if !ValidTenant(tenant) {
		return nil, invalidTenant()
	}
	return s.bar(ctx, tenant, why)
}

// RemoveTenant removes everything in a tenant's folder of the data folder dir, durably, and says how much that was. No store has
// the tenant open. It may be called again; a folder that is not there is no error. step hears MoveSteps.
func RemoveTenant(dir, tenant string, step func(string)) (files int, bytes int64, err error) {
	if !ValidTenant(tenant) {
		return 0, 0, invalidTenant()
	}
	folder := filepath.Dir(logFile(dir, tenant))
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		step(stepUnlink + ".before")
		if info, err := d.Info(); err == nil {
			bytes += info.Size()
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		files++
		step(stepUnlink + ".after")
		return nil
	})
	if err != nil {
		return files, bytes, err
	}
	step(stepFolder + ".before")
	if err := os.RemoveAll(folder); err != nil {
		return files, bytes, err
	}
	err = syncDir(filepath.Dir(folder))
	step(stepFolder + ".after")
	return files, bytes, err
}
