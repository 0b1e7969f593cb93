// Command compatibility runs the REST compatibility kit of Apache Iceberg, as it is published on Maven Central, against the
// catalog server of this repository, and holds the results against exceptions.txt. It needs Java 17 and Maven.
//
// Promises:
//  1. Every test passes, or stands in exceptions.txt with a reason and the upstream issue or pull request behind it: a test
//     that fails or is skipped without standing there, and one that stands there and passes, are both a failure.
//  2. The last line says "held: …" or "falls short: …", and the exit status is 0 or 1 accordingly.
//  3. It leaves nothing behind but what Maven keeps and the tables that the kit puts below the system's /tmp.
package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"headless.ly/catalog"
	"headless.ly/catalog/rest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Println("falls short:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	project := filepath.Join("catalog", "rest", "compatibility")
	work, err := os.MkdirTemp("", "compatibility-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	uri, stop, err := serve(ctx, work)
	if err != nil {
		return err
	}
	defer stop()
	build := filepath.Join(work, "build")
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", filepath.Join(project, "pom.xml"), "test",
		"-Dbuild.dir="+build, "-Dcatalog.uri="+uri)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run the kit: %w\n%s", err, output)
	}
	results, err := readResults(filepath.Join(build, "surefire-reports"))
	if err != nil {
		return err
	}
	excepted, err := readExceptions(filepath.Join(project, "exceptions.txt"))
	if err != nil {
		return err
	}
	return check(results, excepted)
}

// serve serves an empty catalog. The kit puts some of its tables below the system's /tmp, so its server allows that.
func serve(ctx context.Context, work string) (uri string, stop func(), err error) {
	data := filepath.Join(work, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return "", nil, err
	}
	db, err := catalog.OpenDatabase(ctx, catalog.Config{Dir: data})
	if err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, db.Close())
	}
	server := &http.Server{
		Handler:           http.StripPrefix("/iceberg", rest.New(rest.Config{Catalog: db.Iceberg(), Places: []string{"file:///tmp"}})),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go server.Serve(listener) // ends with Close
	stop = func() {
		server.Close()
		db.Close()
	}
	return "http://" + listener.Addr().String() + "/iceberg", stop, nil
}

// result is what became of a test.
type result struct{ outcome, message string }

// The outcomes, as exceptions.txt writes them.
const (
	passed  = "passes"
	failed  = "fails"
	skipped = "skipped"
)

// readResults reads what Surefire has written, by class and test.
func readResults(dir string) (map[string]result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "TEST-*.xml"))
	if err != nil {
		return nil, err
	}
	type trouble struct {
		Message string `xml:"message,attr"`
	}
	results := map[string]result{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var suite struct {
			Cases []struct {
				Class   string   `xml:"classname,attr"`
				Name    string   `xml:"name,attr"`
				Failure *trouble `xml:"failure"`
				Error   *trouble `xml:"error"`
				Skipped *trouble `xml:"skipped"`
			} `xml:"testcase"`
		}
		if err := xml.Unmarshal(data, &suite); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		for _, c := range suite.Cases {
			r := result{outcome: passed}
			switch {
			case c.Failure != nil:
				r = result{failed, c.Failure.Message}
			case c.Error != nil:
				r = result{failed, c.Error.Message}
			case c.Skipped != nil:
				r = result{skipped, c.Skipped.Message}
			}
			results[c.Class[strings.LastIndex(c.Class, ".")+1:]+"."+c.Name] = r
		}
	}
	return results, nil
}

// upstream names where Iceberg's own project says why a test is as it is.
var upstream = regexp.MustCompile(`\(apache/iceberg#[0-9]+\)$`)

// readExceptions reads lines of "outcome test: reason (upstream issue)".
func readExceptions(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	excepted := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, reason, found := strings.Cut(line, ": ")
		outcome, test, ok := strings.Cut(what, " ")
		if !found || !ok || !upstream.MatchString(reason) || outcome != failed && outcome != skipped {
			return nil, fmt.Errorf("%s: %q is not \"fails|skipped test: reason (apache/iceberg#number)\"", name, line)
		}
		excepted[test] = outcome
	}
	return excepted, lines.Err()
}

// minTests is the least that counts as the whole kit: fewer mean that it did not run.
const minTests = 150

func check(results map[string]result, excepted map[string]string) error {
	var wrong []string
	count := map[string]int{}
	for test, r := range results {
		count[r.outcome]++
		want, listed := excepted[test]
		if !listed {
			want = passed
		}
		if r.outcome != want {
			wrong = append(wrong, fmt.Sprintf("%s: %s, expected: %s\n    %s", test, r.outcome, want, strings.ReplaceAll(r.message, "\n", "\n    ")))
		}
	}
	for test := range excepted {
		if _, ran := results[test]; !ran {
			wrong = append(wrong, test+": is an exception, but there is no such test")
		}
	}
	slices.Sort(wrong)
	for _, line := range wrong {
		fmt.Println(line)
	}
	fmt.Printf("REST compatibility kit: %d tests, %d passed, %d failed, %d skipped\n",
		len(results), count[passed], count[failed], count[skipped])
	if len(results) < minTests {
		return fmt.Errorf("only %d tests ran", len(results))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d tests are not as expected", len(wrong))
	}
	fmt.Printf("held: all tests of the kit pass but %d, each with its reason in exceptions.txt\n", len(excepted))
	return nil
}
