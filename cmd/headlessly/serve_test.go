package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"headless.ly/cmd/headlessly/server"
)

// build makes the binary as anybody would.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "headlessly")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestServe starts the binary with the environment alone, writes, and stops it with SIGTERM: one line on standard output,
// exit status 0, within ten seconds, and all of it is there after the next start.
func TestServe(t *testing.T) {
	binary, data := build(t), t.TempDir()
	for round := 1; round <= 2; round++ {
		cmd := exec.Command(binary, "serve")
		cmd.Env = append(os.Environ(), "HEADLESSLY_ADDR=127.0.0.1:0", "HEADLESSLY_DATA="+data)
		var messages bytes.Buffer
		cmd.Stderr = &messages
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(stdout)
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %s", err, &messages)
		}
		url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Fatalf("first line %q", line)
		}
		resp, err := http.Post(url+"/~birch/Contact", "application/json", strings.NewReader(`{"name":"Noor"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if seq := resp.Header.Get("X-Seq"); seq != fmt.Sprint(round) {
			t.Errorf("round %d: X-Seq %s", round, seq)
		}
		start := time.Now()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err := errors.Join(err, cmd.Wait()); err != nil {
			t.Errorf("end: %v\n%s", err, &messages)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if len(rest) > 0 {
			t.Errorf("more on standard output: %q", rest)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

// TestServeRefuses: an address that others can reach ends the command with status 1 and a sentence that says why.
func TestServeRefuses(t *testing.T) {
	var out, messages bytes.Buffer
	root := rootCommand()
	root.SetArgs([]string{"serve", "--addr", "0.0.0.0:0", "--data", t.TempDir()})
	root.SetOut(&out)
	root.SetErr(&messages)
	err := root.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "credentials") || out.Len() > 0 {
		t.Errorf("%v, %q", err, &out)
	}
}

// TestImportCommand imports files of each format through a running server.
func TestImportCommand(t *testing.T) {
	srv := openServer(t, server.Config{Data: t.TempDir()})
	for _, c := range []struct {
		file, text string
		args       []string
		out        string
		messages   string
		fails      bool
	}{
		{file: "good.csv", text: "name,email\nA,a@birch.example\nB,\n", out: "2 rows: 2 imported, 0 refused"},
		{file: "mixed.csv", text: "name,stage\nC,Lead\n,Lead\nD,Emperor\nE,Lead\n", out: "4 rows: 2 imported, 2 refused", fails: true,
			messages: "row 2: name is required\nrow 3: stage: expected Lead, Qualified, Customer, Churned or Partner\n"},
		{file: "rows.ndjson", text: "{\"name\":\"F\"}\n{\"name\":\n", out: "2 rows: 1 imported, 1 refused", fails: true, messages: "row 2: "},
		{file: "rows.json", text: `[{"name":"G"},{"name":"H","email":"a@birch.example"}]`, out: "2 rows: 1 imported, 1 refused", fails: true, messages: "row 2: another Contact has this email\n"},
		{file: "lines.json", text: "{\"name\":\"I\"}\n{\"name\":\"J\"}\n", out: "2 rows: 2 imported, 0 refused"},
		{file: "rows.dat", text: "name\nK\n", args: []string{"--format", "csv"}, out: "1 rows: 1 imported, 0 refused"},
		{file: "rows.xyz", text: "name\nL\n", fails: true},
		{file: "kept.json", text: `[{"$id":"contact_kept0001","name":"M"}]`, args: []string{"--preserve-ids"}, out: "1 rows: 1 imported"},
		{file: "other.csv", text: "name\nN\n", args: []string{"--type", "Company"}, fails: true},
		{file: "big.csv", text: "name\n" + strings.Repeat("Many\n", 1700), out: "1700 rows: 1700 imported"},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, messages bytes.Buffer
			root := rootCommand()
			root.SetOut(&out)
			root.SetErr(&messages)
			root.SetArgs(append([]string{"import", "--endpoint", srv.URL(), "--tenant", "birch", "--type", "Contact", path}, c.args...))
			err := root.ExecuteContext(t.Context())
			if (err != nil) != c.fails || !strings.HasPrefix(out.String(), c.out) || !strings.HasPrefix(messages.String(), c.messages) {
				t.Errorf("%v\nout: %s\nmessages: %s", err, &out, &messages)
			}
			if c.messages == "" && messages.Len() > 0 {
				t.Errorf("messages: %s", &messages)
			}
		})
	}
	counts, err := srv.Service().Store().Counts(t.Context(), "birch")
	if err != nil || counts["Contact"] != 2+2+1+1+2+1+1+1700 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetArgs([]string{"version"})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.HasPrefix(out.String(), "headlessly ") {
		t.Errorf("%v %q", err, &out)
	}
}
