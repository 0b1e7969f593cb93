package lakehouse

// Folding keeps the number of event files small. The files of a tenant and day are neighbours in seq; a run of neighbours
// of like size becomes one file, so that sizes fall geometrically from old to new: n equal appends leave O(log n) files, and
// every byte is written O(log n) times.
const (
	// foldRun is how many neighbours of like size are folded. Fewer would mean fewer files, and more rewriting.
	foldRun = 4
	// foldLike bounds what is of like size: a file at most so many times as large as all younger ones of its run together.
	foldLike = 1.25
	// foldFiles is how many files are folded into one at a time.
	foldFiles = 64
	// foldBytes is the size above which a file is left alone, and the most that a run may hold.
	foldBytes = 128 << 20
)

// segment is one event file of a tenant and day.
type segment struct {
	location    string
	bytes       int64
	first, last int64 // seqs
}

// foldable chooses the run of neighbours to fold next, files[from:to], in order of seq; false if there is none. In a
// settled day, to which nothing has come for long, everything becomes as few files as foldBytes allows.
func foldable(files []segment, settled bool) (from, to int, ok bool) {
	if settled {
		return settledRun(files)
	}
	for to := len(files); to >= foldRun; to-- {
		if from := likeRun(files[:to]); to-from >= foldRun {
			return from, min(to, from+foldFiles), true
		}
	}
	return 0, 0, false
}

// likeRun gives where the run of neighbours of like size that ends with the last file begins.
func likeRun(files []segment) int {
	from := len(files)
	var sum int64
	for from > 0 {
		next := files[from-1].bytes
		if sum+next > foldBytes || sum > 0 && float64(next) > foldLike*float64(sum) {
			break
		}
		from, sum = from-1, sum+next
	}
	return from
}

// settledRun gives the oldest two or more neighbours that fit into one file.
func settledRun(files []segment) (from, to int, ok bool) {
	for from := range files {
		var sum int64
		to := from
		for to < len(files) && to-from < foldFiles && sum+files[to].bytes <= foldBytes {
			sum, to = sum+files[to].bytes, to+1
		}
		if to-from >= 2 {
			return from, to, true
		}
	}
	return 0, 0, false
}
