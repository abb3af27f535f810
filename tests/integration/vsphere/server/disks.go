package main

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

const diskPrefix = "/nfc/"

const piece = 64 << 10

func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *StandIn) newFile() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.count++
	return filepath.Join(s.folder, fmt.Sprintf("disk-%d.vmdk", s.count))
}

func (s *StandIn) nvram(settings Settings) string {
	file := s.newFile()
	data := append([]byte(settings.NvramMark), make([]byte, settings.NvramSize)...)
	if err := os.WriteFile(file, data, 0600); err != nil {
		log.Fatal(err)
	}
	return file
}

// serveDisk lets one be uploaded or downloaded as long as its lease is ready.
func (s *StandIn) serveDisk(w http.ResponseWriter, r *http.Request) {
	id, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, diskPrefix), "/")
	lease := leaseOf(reference{Type: "HttpNfcLease", Value: id})
	if lease == nil || lease.disks[name] == nil {
		http.NotFound(w, r)
		return
	}
	disk := lease.disks[name]
	if !lease.isReady() {
		http.Error(w, "the lease is not ready", http.StatusServiceUnavailable)
		return
	}
	switch {
	case lease.imports && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		s.upload(w, r, lease, disk)
	case !lease.imports && r.Method == http.MethodGet:
		s.download(w, r, lease, disk)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *StandIn) upload(w http.ResponseWriter, r *http.Request, lease *Lease, disk *Disk) {
	file, err := os.Create(disk.File)
	if err == nil {
		_, err = io.Copy(file, &paced{r.Body, lease, s.settings().Rate})
		_ = file.Close()
	}
	if err != nil || (r.ContentLength >= 0 && sizeOf(disk.File) != r.ContentLength) {
		log.Printf("nfc %s %s: %v", r.Method, disk.Name, err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	lease.lock.Lock()
	disk.stored = true
	lease.lock.Unlock()
	log.Printf("nfc %s %s: transferred %d bytes", r.Method, disk.Name, sizeOf(disk.File))
	w.WriteHeader(http.StatusCreated)
}

// paced reads no faster than that, and nothing after its lease has ended.
type paced struct {
	io.Reader
	lease *Lease
	rate  int64
}

func (p *paced) Read(into []byte) (int, error) {
	select {
	case <-p.lease.ended:
		return 0, io.ErrClosedPipe
	default:
	}
	if p.rate > 0 && int64(len(into)) > p.rate/10+1 {
		into = into[:p.rate/10+1]
	}
	n, err := p.Reader.Read(into)
	if p.rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(p.rate))
	}
	return n, err
}

func (s *StandIn) download(w http.ResponseWriter, r *http.Request, lease *Lease, disk *Disk) {
	settings := s.settings()
	if s.once(&s.failures, settings.Failures) {
		http.Error(w, "the disk cannot be read", http.StatusInternalServerError)
		return
	}
	file, err := os.Open(disk.File)
	if err != nil {
		log.Print(err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer file.Close()
	size, first := sizeOf(disk.File), int64(0)
	if settings.Ranges {
		w.Header().Set("Accept-Ranges", "bytes")
		asked := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
		if number, err := strconv.ParseInt(asked, 10, 64); err == nil && number > 0 && number < size {
			first = number
		}
		w.Header().Set("Content-Length", strconv.FormatInt(size-first, 10))
	}
	if _, err = file.Seek(first, io.SeekStart); err != nil {
		log.Print(err)
		return
	}
	if first > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, size-1, size))
		w.WriteHeader(http.StatusPartialContent)
	}
	most := size
	if settings.CutAfter >= 0 && s.once(&s.cuts, settings.Cuts) {
		most = settings.CutAfter
	}
	log.Printf("nfc GET %s from %d", disk.Name, first)
	w.(http.Flusher).Flush()
	time.Sleep(seconds(settings.Stall))
	hash := sha1.New()
	sent, err := send(io.MultiWriter(w, hash), w, &paced{io.LimitReader(file, most), lease, settings.Rate})
	if err != nil || sent < size-first {
		panic(http.ErrAbortHandler) // cuts the connection
	}
	if first == 0 {
		lease.lock.Lock()
		defer lease.lock.Unlock()
		disk.sent = &types.HttpNfcLeaseManifestEntry{
			Sha1: hex.EncodeToString(hash.Sum(nil)), Size: sent, Disk: disk.isDisk, Capacity: disk.Capacity,
		}
	}
}

// once counts up to most.
func (s *StandIn) once(done *int, most int) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	if *done >= most {
		return false
	}
	*done++
	return true
}

// send flushes each piece, so that a slow line is one for the client too.
func send(goal io.Writer, w http.ResponseWriter, from *paced) (int64, error) {
	buffer, sent := make([]byte, piece), int64(0)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, wrong := goal.Write(buffer[:n]); wrong != nil {
				return sent, wrong
			}
			sent += int64(n)
			if flusher, ok := w.(http.Flusher); ok && from.rate > 0 {
				flusher.Flush()
			}
		}
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
}
