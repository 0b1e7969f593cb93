package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

var importRuns = flag.Int("import.runs", 2, "how many imports TestImportKilled kills the server in")

// importJob is what a job tells.
type importJob struct {
	Job, Status            string
	Rows, Imported, Errors int
}

// look asks for a job.
func look(url, id string) (job importJob, err error) {
	resp, err := http.Get(url + "/~birch/jobs/" + id)
	if err != nil {
		return job, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return job, fmt.Errorf("job %s: %s", id, resp.Status)
	}
	return job, json.NewDecoder(resp.Body).Decode(&job)
}

// TestImportKilled: a server that is killed in the middle of an import, again and again, has written each good row exactly once
// when the import has ended.
func TestImportKilled(t *testing.T) {
	for run := range *importRuns {
		t.Run(fmt.Sprint(run), func(t *testing.T) { importKilled(t, rand.New(rand.NewPCG(uint64(run), 1)), t.TempDir()) })
	}
}

func importKilled(t *testing.T, random *rand.Rand, data string) {
	const rows, bad = 20_000, 20
	var text strings.Builder
	for i := range rows {
		name := fmt.Sprintf(`"name":"P%d",`, i)
		if i%(rows/bad) == 0 {
			name = ""
		}
		fmt.Fprintf(&text, "{%s\"stage\":\"Lead\"}\n", name) // nothing unique: only the job keeps a row from coming twice
	}
	server, err := start(data, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { server.kill() }()
	resp, err := http.Post(server.url+"/~birch/import/Contact", "application/x-ndjson", strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	var job importJob
	err = json.NewDecoder(resp.Body).Decode(&job)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status, err)
	}
	id := job.Job
	for range 1 + random.IntN(3) {
		until := min(rows-1, job.Rows+1+random.IntN(rows/3))
		for job.Rows < until && job.Status != "done" {
			if job, err = look(server.url, id); err != nil {
				t.Fatal(err)
			}
		}
		server.kill()
		if server, err = start(data, "", 0); err != nil {
			t.Fatal(err)
		}
	}
	for job.Status != "done" {
		if job, err = look(server.url, id); err != nil || job.Status == "failed" {
			t.Fatal(job, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if job.Rows != rows || job.Imported != rows-bad || job.Errors != bad {
		t.Errorf("%+v", job)
	}
	resp, err = http.Get(server.url + "/~birch/Contact?countOnly=true&strong=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var count struct{ Count int }
	if err := json.NewDecoder(resp.Body).Decode(&count); err != nil || count.Count != rows-bad || resp.Header.Get("X-Seq") != fmt.Sprint(rows-bad) {
		t.Errorf("%d contacts at seq %s, %v; want %d", count.Count, resp.Header.Get("X-Seq"), err, rows-bad)
	}
}
