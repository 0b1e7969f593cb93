package erasure

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// receiptFormat is the version of receipts; FORMAT.md describes them.
const receiptFormat = 1

// receiptFolder, in the data folder, holds the receipts.
const receiptFolder = "receipts"

// Receipt says what was erased. It names nobody.
type Receipt struct {
	Format int       `json:"format"`
	ID     string    `json:"id"`
	Tenant string    `json:"tenant"` // HashTenant of salt and name
	Salt   string    `json:"salt"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
	Events int64     `json:"events"` // of the tenant's log; 0 where that could not be read

	Log      Folder    `json:"log"`   // the tenant's folder
	Lake     Lake      `json:"lake"`  // the Iceberg tables
	Other    Folder    `json:"other"` // caches, and what was kept aside
	Searched *Searched `json:"searched,omitempty"`
}

// Folder counts files that were removed.
type Folder struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Lake counts what was removed of the Iceberg tables; after a crash in the middle, what was left to remove then.
type Lake struct {
	Tables    int   `json:"tables"`
	Files     int   `json:"files"` // data and delete files
	Bytes     int64 `json:"bytes"`
	Metadata  int   `json:"metadata"`  // files of metadata
	Snapshots int   `json:"snapshots"` // of all tenants
}

// Searched says where markers of the tenant, its ids and the name of its partition, were looked for afterwards.
// It is missing where a crash or a failure came between removing the markers and looking for them.
type Searched struct {
	Files   int      `json:"files"`
	Bytes   int64    `json:"bytes"`
	Markers int      `json:"markers"`
	Found   []string `json:"found"` // paths below the data folder that hold one; null: none does
}

// Signed is a receipt as it is kept and given out.
type Signed struct {
	Receipt   json.RawMessage `json:"receipt"`   // these very bytes are signed
	Signature string          `json:"signature"` // Ed25519, base64
	PublicKey string          `json:"publicKey"` // base64
}

// ErrSignature is returned for a receipt whose signature does not hold.
var ErrSignature = errors.New("signature of the receipt does not hold")

// key gives the data folder's key: its seed is a secret of catalog.db.
func (e *Eraser) key(ctx context.Context) (ed25519.PrivateKey, error) {
	seed, err := e.cfg.Lake.Database().Secret(ctx, "erasure")
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func sign(key ed25519.PrivateKey, r Receipt) (Signed, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return Signed{}, err
	}
	public, _ := key.Public().(ed25519.PublicKey)
	return Signed{Receipt: text, Signature: base64.StdEncoding.EncodeToString(ed25519.Sign(key, text)),
		PublicKey: base64.StdEncoding.EncodeToString(public)}, nil
}

// Check reads a receipt and says whether its signature is of the key that it names. Whether that key is the data folder's, the
// caller compares.
func Check(text []byte) (Receipt, Signed, error) {
	var s Signed
	var r Receipt
	if err := json.Unmarshal(text, &s); err != nil {
		return r, s, fmt.Errorf("read receipt: %w", err)
	}
	public, err := base64.StdEncoding.DecodeString(s.PublicKey)
	signature, sigErr := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil || sigErr != nil || len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, s.Receipt, signature) {
		return r, s, ErrSignature
	}
	if err := json.Unmarshal(s.Receipt, &r); err != nil {
		return r, s, fmt.Errorf("read receipt: %w", err)
	}
	return r, s, nil
}

// keep writes a receipt into the data folder, durably.
func keep(dir string, s Signed, id string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	folder := filepath.Join(dir, receiptFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".receipt-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, id+".json"))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return errors.Join(syncDir(folder), syncDir(dir))
}

// syncDir makes a folder's entries durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
