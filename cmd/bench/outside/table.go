package outside

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Table is the folder of one table.
type Table struct {
	Name string // events, contact
	dir  string
}

// Open gives the table of this name below a data folder. It need not exist yet.
func Open(data, name string) Table {
	return Table{Name: name, dir: filepath.Join(data, "warehouse", "iceberg", name)}
}

// Version is a table at one instant. Its files stay for an hour.
type Version struct {
	Table Table
	Hint  string           // what version-hint.text said
	Seqs  map[string]int64 // tenant → seq up to which the snapshot holds its log; nil before the first snapshot

	snapshot int64
}

// Hint gives the text of the table's hint, "" before there is one. It is cheap enough to be asked many times a second.
func (t Table) Hint() string {
	text, err := os.ReadFile(filepath.Join(t.dir, "metadata", "version-hint.text"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// metadata is what is read of a metadata.json.
type metadata struct {
	Current   int64 `json:"current-snapshot-id"`
	Snapshots []struct {
		ID      int64             `json:"snapshot-id"`
		List    string            `json:"manifest-list"`
		Summary map[string]string `json:"summary"`
	} `json:"snapshots"`
}

// Read gives the version that a hint names.
func (t Table) Read(hint string) (*Version, error) {
	v := &Version{Table: t, Hint: hint}
	meta, err := v.metadata()
	if err != nil {
		return nil, fmt.Errorf("read %s at %s: %w", t.Name, hint, err)
	}
	for _, s := range meta.Snapshots {
		if s.ID != meta.Current {
			continue
		}
		v.snapshot = s.ID
		side := s.Summary["headlessly.seqs"]
		if side == "" {
			return nil, fmt.Errorf("read %s at %s: the current snapshot does not say what it holds", t.Name, hint)
		}
		if v.Seqs, err = t.seqs(side); err != nil {
			return nil, fmt.Errorf("read %s at %s: %w", t.Name, hint, err)
		}
	}
	return v, nil
}

// Path is where the version's metadata is.
func (v *Version) Path() string {
	name := v.Hint + ".metadata.json"
	if !strings.Contains(v.Hint, "-") {
		name = "v" + name
	}
	return filepath.Join(v.Table.dir, "metadata", name)
}

func (v *Version) metadata() (meta metadata, err error) {
	text, err := os.ReadFile(v.Path())
	if err != nil {
		return meta, err
	}
	return meta, json.Unmarshal(text, &meta)
}

func (t Table) seqs(side string) (map[string]int64, error) {
	text, err := os.ReadFile(filepath.Join(t.dir, "metadata", filepath.Base(side)))
	if err != nil {
		return nil, err
	}
	var file struct{ Seqs map[string]int64 }
	return file.Seqs, json.Unmarshal(text, &file)
}
