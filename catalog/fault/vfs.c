#include "vfs.h"
#include "_cgo_export.h"
#include <stdlib.h>
#include <string.h>

#define REAL_FILE(f) (((fault_file*)(f))->real)
#define REAL_VFS(v) (((fault_vfs*)(v))->real)

/* Files: what changes them goes through Go, the rest straight on. */

static int file_close(sqlite3_file *f) {
  int rc = REAL_FILE(f)->pMethods->xClose(REAL_FILE(f));
  faultClose(((fault_file*)f)->handle);
  return rc;
}
static int file_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 offset) {
  return faultWrite((fault_file*)f, (void*)data, n, offset);
}
static int file_truncate(sqlite3_file *f, sqlite3_int64 size) { return faultTruncate((fault_file*)f, size); }
static int file_sync(sqlite3_file *f, int flags) { return faultSync((fault_file*)f, flags); }

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 offset) {
  return REAL_FILE(f)->pMethods->xRead(REAL_FILE(f), p, n, offset);
}
static int file_size(sqlite3_file *f, sqlite3_int64 *size) {
  return REAL_FILE(f)->pMethods->xFileSize(REAL_FILE(f), size);
}
static int file_lock(sqlite3_file *f, int level) { return REAL_FILE(f)->pMethods->xLock(REAL_FILE(f), level); }
static int file_unlock(sqlite3_file *f, int level) { return REAL_FILE(f)->pMethods->xUnlock(REAL_FILE(f), level); }
static int file_check_lock(sqlite3_file *f, int *out) {
  return REAL_FILE(f)->pMethods->xCheckReservedLock(REAL_FILE(f), out);
}
static int file_control(sqlite3_file *f, int op, void *arg) {
  return REAL_FILE(f)->pMethods->xFileControl(REAL_FILE(f), op, arg);
}
static int file_sector(sqlite3_file *f) { return REAL_FILE(f)->pMethods->xSectorSize(REAL_FILE(f)); }
static int file_device(sqlite3_file *f) { return REAL_FILE(f)->pMethods->xDeviceCharacteristics(REAL_FILE(f)); }
static int file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out) {
  return REAL_FILE(f)->pMethods->xShmMap(REAL_FILE(f), region, size, extend, out);
}
static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags) {
  return REAL_FILE(f)->pMethods->xShmLock(REAL_FILE(f), offset, n, flags);
}
static void file_shm_barrier(sqlite3_file *f) { REAL_FILE(f)->pMethods->xShmBarrier(REAL_FILE(f)); }
static int file_shm_unmap(sqlite3_file *f, int deleteToo) {
  return REAL_FILE(f)->pMethods->xShmUnmap(REAL_FILE(f), deleteToo);
}
static int file_fetch(sqlite3_file *f, sqlite3_int64 offset, int n, void **out) {
  return REAL_FILE(f)->pMethods->xFetch(REAL_FILE(f), offset, n, out);
}
static int file_unfetch(sqlite3_file *f, sqlite3_int64 offset, void *p) {
  return REAL_FILE(f)->pMethods->xUnfetch(REAL_FILE(f), offset, p);
}

static const sqlite3_io_methods methods = {
  3, file_close, file_read, file_write, file_truncate, file_sync, file_size, file_lock, file_unlock, file_check_lock,
  file_control, file_sector, file_device, file_shm_map, file_shm_lock, file_shm_barrier, file_shm_unmap, file_fetch,
  file_unfetch,
};

void fault_attach(fault_file *file, uintptr_t handle) {
  file->handle = handle;
  file->methods = methods;
  if (file->real->pMethods->iVersion < methods.iVersion) file->methods.iVersion = file->real->pMethods->iVersion;
  file->base.pMethods = &file->methods;
}

int fault_real_write(fault_file *file, const void *data, int n, sqlite3_int64 offset) {
  return file->real->pMethods->xWrite(file->real, data, n, offset);
}
int fault_real_truncate(fault_file *file, sqlite3_int64 size) {
  return file->real->pMethods->xTruncate(file->real, size);
}
int fault_real_sync(fault_file *file, int flags) { return file->real->pMethods->xSync(file->real, flags); }

/* The VFS. */

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out) {
  f->pMethods = NULL; /* SQLite closes a file that has methods even if it was not opened */
  return faultOpen((fault_vfs*)v, (char*)name, (fault_file*)f, flags, out);
}
static int vfs_delete(sqlite3_vfs *v, const char *name, int syncDir) {
  return faultDelete((fault_vfs*)v, (char*)name, syncDir);
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *out) {
  return REAL_VFS(v)->xAccess(REAL_VFS(v), name, flags, out);
}
static int vfs_full_pathname(sqlite3_vfs *v, const char *name, int n, char *out) {
  return REAL_VFS(v)->xFullPathname(REAL_VFS(v), name, n, out);
}
static void *vfs_dl_open(sqlite3_vfs *v, const char *name) { return REAL_VFS(v)->xDlOpen(REAL_VFS(v), name); }
static void vfs_dl_error(sqlite3_vfs *v, int n, char *out) { REAL_VFS(v)->xDlError(REAL_VFS(v), n, out); }
static void (*vfs_dl_sym(sqlite3_vfs *v, void *lib, const char *symbol))(void) {
  return REAL_VFS(v)->xDlSym(REAL_VFS(v), lib, symbol);
}
static void vfs_dl_close(sqlite3_vfs *v, void *lib) { REAL_VFS(v)->xDlClose(REAL_VFS(v), lib); }
static int vfs_randomness(sqlite3_vfs *v, int n, char *out) { return REAL_VFS(v)->xRandomness(REAL_VFS(v), n, out); }
static int vfs_sleep(sqlite3_vfs *v, int us) { return REAL_VFS(v)->xSleep(REAL_VFS(v), us); }
static int vfs_time(sqlite3_vfs *v, double *out) { return REAL_VFS(v)->xCurrentTime(REAL_VFS(v), out); }
static int vfs_last_error(sqlite3_vfs *v, int n, char *out) { return REAL_VFS(v)->xGetLastError(REAL_VFS(v), n, out); }
static int vfs_time64(sqlite3_vfs *v, sqlite3_int64 *out) { return REAL_VFS(v)->xCurrentTimeInt64(REAL_VFS(v), out); }

int fault_real_open(fault_vfs *vfs, const char *name, fault_file *file, int flags, int *outFlags) {
  file->real = (sqlite3_file*)(file + 1);
  memset(file->real, 0, vfs->real->szOsFile);
  return vfs->real->xOpen(vfs->real, name, file->real, flags, outFlags);
}
int fault_real_delete(fault_vfs *vfs, const char *name, int syncDir) {
  return vfs->real->xDelete(vfs->real, name, syncDir);
}

fault_vfs *fault_new(const char *name, uintptr_t handle, int makeDefault) {
  sqlite3_vfs *real = sqlite3_vfs_find(NULL);
  fault_vfs *v;
  if (real == NULL || real->iVersion < 2) return NULL;
  v = calloc(1, sizeof *v);
  if (v == NULL) return NULL;
  v->base = (sqlite3_vfs){
    2, (int)sizeof(fault_file) + real->szOsFile, real->mxPathname, NULL, strdup(name), NULL, vfs_open, vfs_delete,
    vfs_access, vfs_full_pathname, vfs_dl_open, vfs_dl_error, vfs_dl_sym, vfs_dl_close, vfs_randomness, vfs_sleep,
    vfs_time, vfs_last_error, vfs_time64,
  };
  v->real = real;
  v->handle = handle;
  if (v->base.zName == NULL || sqlite3_vfs_register(&v->base, makeDefault) != 0) {
    free((void*)v->base.zName);
    free(v);
    return NULL;
  }
  return v;
}

void fault_free(fault_vfs *vfs) {
  sqlite3_vfs_unregister(&vfs->base);
  free((void*)vfs->base.zName);
  free(vfs);
}
