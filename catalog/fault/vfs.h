#ifndef HEADLESSLY_FAULT_VFS_H
#define HEADLESSLY_FAULT_VFS_H

/*
** The part of SQLite's ABI that a VFS needs, declared here because mattn/go-sqlite3 bundles SQLite without its header.
** SQLite promises never to change these layouts, only to append to them and raise iVersion (sqlite.org/c3ref/vfs.html).
*/
#include <stdint.h>

typedef long long sqlite3_int64;
typedef struct sqlite3_file sqlite3_file;
typedef struct sqlite3_vfs sqlite3_vfs;
typedef struct sqlite3_io_methods sqlite3_io_methods;

struct sqlite3_file { const sqlite3_io_methods *pMethods; };

struct sqlite3_io_methods {
  int iVersion;
  int (*xClose)(sqlite3_file*);
  int (*xRead)(sqlite3_file*, void*, int, sqlite3_int64);
  int (*xWrite)(sqlite3_file*, const void*, int, sqlite3_int64);
  int (*xTruncate)(sqlite3_file*, sqlite3_int64);
  int (*xSync)(sqlite3_file*, int);
  int (*xFileSize)(sqlite3_file*, sqlite3_int64*);
  int (*xLock)(sqlite3_file*, int);
  int (*xUnlock)(sqlite3_file*, int);
  int (*xCheckReservedLock)(sqlite3_file*, int*);
  int (*xFileControl)(sqlite3_file*, int, void*);
  int (*xSectorSize)(sqlite3_file*);
  int (*xDeviceCharacteristics)(sqlite3_file*);
  /* version 2 */
  int (*xShmMap)(sqlite3_file*, int, int, int, void volatile**);
  int (*xShmLock)(sqlite3_file*, int, int, int);
  void (*xShmBarrier)(sqlite3_file*);
  int (*xShmUnmap)(sqlite3_file*, int);
  /* version 3 */
  int (*xFetch)(sqlite3_file*, sqlite3_int64, int, void**);
  int (*xUnfetch)(sqlite3_file*, sqlite3_int64, void*);
};

struct sqlite3_vfs {
  int iVersion;
  int szOsFile;
  int mxPathname;
  sqlite3_vfs *pNext;
  const char *zName;
  void *pAppData;
  int (*xOpen)(sqlite3_vfs*, const char*, sqlite3_file*, int, int*);
  int (*xDelete)(sqlite3_vfs*, const char*, int);
  int (*xAccess)(sqlite3_vfs*, const char*, int, int*);
  int (*xFullPathname)(sqlite3_vfs*, const char*, int, char*);
  void *(*xDlOpen)(sqlite3_vfs*, const char*);
  void (*xDlError)(sqlite3_vfs*, int, char*);
  void (*(*xDlSym)(sqlite3_vfs*, void*, const char*))(void);
  void (*xDlClose)(sqlite3_vfs*, void*);
  int (*xRandomness)(sqlite3_vfs*, int, char*);
  int (*xSleep)(sqlite3_vfs*, int);
  int (*xCurrentTime)(sqlite3_vfs*, double*);
  int (*xGetLastError)(sqlite3_vfs*, int, char*);
  /* version 2 */
  int (*xCurrentTimeInt64)(sqlite3_vfs*, sqlite3_int64*);
  /* version 3 is not offered: the replacing of system calls would pass this VFS by */
};

extern sqlite3_vfs *sqlite3_vfs_find(const char *name);
extern int sqlite3_vfs_register(sqlite3_vfs*, int makeDefault);
extern int sqlite3_vfs_unregister(sqlite3_vfs*);

/* fault_vfs passes everything on to the VFS that was the default; what changes the disk goes through Go. */
typedef struct fault_vfs {
  sqlite3_vfs base; /* must be first */
  sqlite3_vfs *real;
  uintptr_t handle; /* the Go *VFS */
} fault_vfs;

/* fault_file is followed in memory by the real VFS's file. */
typedef struct fault_file {
  sqlite3_file base; /* must be first */
  sqlite3_file *real;
  sqlite3_io_methods methods; /* iVersion as the real file has it */
  uintptr_t handle; /* the Go *vfsFile */
} fault_file;

/* fault_new makes a VFS of this name and registers it; NULL if that fails. */
fault_vfs *fault_new(const char *name, uintptr_t handle, int makeDefault);
void fault_free(fault_vfs *vfs);

/* fault_attach makes file usable after its real file has been opened. */
void fault_attach(fault_file *file, uintptr_t handle);

/* The real operations, for Go to call. */
int fault_real_open(fault_vfs *vfs, const char *name, fault_file *file, int flags, int *outFlags);
int fault_real_delete(fault_vfs *vfs, const char *name, int syncDir);
int fault_real_write(fault_file *file, const void *data, int n, sqlite3_int64 offset);
int fault_real_truncate(fault_file *file, sqlite3_int64 size);
int fault_real_sync(fault_file *file, int flags);

#endif
