-- Files.
select * from read_csv('/etc/passwd')
select * from read_csv_auto('/etc/passwd')
select * from read_text('/etc/passwd')
select * from read_blob('/etc/passwd')
select * from read_json('/etc/passwd')
select * from read_json_auto('/etc/passwd')
select * from read_ndjson('/etc/passwd')
select * from read_ndjson_objects('/etc/passwd')
select * from read_json_objects('/etc/passwd')
select * from read_duckdb('{DATA}/catalog.db')
select * from glob('{DATA}/**')
select * from glob('/etc/*')
select * from sniff_csv('/etc/passwd')
select * from read_parquet('{DATA}/warehouse/iceberg/deal/data/tenant=birch/*.parquet')
select * from read_parquet('{DATA}/warehouse/iceberg/deal/data/tenant=acme/../tenant=birch/*.parquet')
select * from parquet_scan('{DATA}/warehouse/iceberg/events/data/*/*/*.parquet')
select * from parquet_metadata('{DATA}/warehouse/iceberg/deal/data/tenant=birch/*.parquet')
select * from parquet_schema('{DATA}/warehouse/iceberg/deal/data/tenant=birch/*.parquet')
select * from parquet_file_metadata('{DATA}/warehouse/iceberg/deal/data/tenant=acme/*.parquet')
select * from parquet_kv_metadata('{DATA}/warehouse/iceberg/deal/data/tenant=acme/*.parquet')
select * from parquet_full_metadata('{DATA}/warehouse/iceberg/deal/data/tenant=acme/*.parquet')
select * from parquet_bloom_probe('{DATA}/warehouse/iceberg/deal/data/tenant=birch/*.parquet', 'id', 'x')
select * from '{DATA}/warehouse/iceberg/deal/data/tenant=birch/*.parquet'
select * from "{DATA}/tenants/birch/log.db"
select * from '/etc/passwd'
select * from "/etc/passwd.csv"
from '/proc/self/environ'
from "file:///etc/passwd.csv"
from 's3://bucket/key.parquet'
from 'https://example.com/x.csv'
summarize '/etc/passwd.csv'
describe '/etc/passwd.csv'
describe select * from '/etc/passwd.csv'
with "/etc/passwd.csv" as (select 1) select * from (select 1), "/etc/passwd.csv"
select * from (with "{DATA}/x.parquet" as (select 1) select 1), "{DATA}/x.parquet"
select (select content from read_text('/etc/passwd'))
select * from deal where exists (from read_text('/etc/passwd'))
select 'x' in (select content from read_text('/etc/passwd'))
select * from deal, lateral (select * from read_text('/etc/passwd'))
select * from main.read_text('/etc/passwd')
select * from system.main.read_text('/etc/passwd')
select * from READ_TEXT('/etc/passwd')
select * from "read_text"('/etc/passwd')
select/**/*/**/from/**/read_text/**/('/etc/passwd')
select * from U&"read\005ftext"('/etc/passwd')
pivot (select * from read_csv('/etc/passwd')) on column0 in ('x') using count(*)
unpivot (from read_csv('/etc/passwd')) on column0
explain select * from read_csv('/etc/passwd')
explain analyze select * from read_csv('/etc/passwd')
select * from deal union all select * from read_csv('/etc/passwd')
with recursive t as (select * from read_text('/etc/passwd') union all select * from t) select * from t
select (with t as materialized (from read_text('/etc/passwd')) select content from t)

-- Statements that do something.
copy deal to '/tmp/stolen.csv'
copy (select * from deal) to '{DATA}/warehouse/iceberg/deal/data/tenant=acme/x.parquet'
copy deal from '/etc/passwd'
attach '{DATA}/catalog.db' as c (type sqlite)
attach '/tmp/x.db'
detach memory
use system
install httpfs
load httpfs
force install iceberg from community
load '/tmp/evil.duckdb_extension'
pragma database_list
pragma version
pragma show_tables
call pragma_version()
set memory_limit = '100GB'
set global threads = 64
reset memory_limit
set variable x = 1
pragma threads=64
create table t as select 1
create temp table t as select 1
create view v as select 1
create or replace temp view deal as select 1
create macro f(x) as x
create secret s (type s3)
create function g() as 1
create schema s
create sequence s
create type mood as enum ('a')
drop view deal
drop table "deal/1"
alter table deal add column x int
insert into deal values (1)
update deal set value = 0
delete from deal
truncate deal
merge into deal using deal d on false when not matched then insert default values
begin
commit
checkpoint
vacuum
analyze
prepare p as select 1
execute p
deallocate p
export database '/tmp/x'
import database '/tmp/x'
drop table deal; select 1
select 1; drop table deal
select 1; select 2
select 1;; attach '/tmp/x.db'
explain drop table deal
explain analyze insert into deal values (1)
explain create table t as select 1
explain explain select 1
explain (format html) select 1
with x as (insert into deal values (1) returning *) select * from x
with x as (delete from deal returning *) select * from x

-- What tells of the server or of other tenants.
select * from duckdb_settings()
select * from duckdb_views()
select * from duckdb_tables()
select * from duckdb_columns()
select * from duckdb_databases()
select * from duckdb_secrets()
select * from duckdb_extensions()
select * from duckdb_functions()
select * from duckdb_logs()
select * from duckdb_logs_parsed('QueryLog')
select * from duckdb_memory()
select * from duckdb_temporary_files()
select * from duckdb_external_file_cache()
select * from duckdb_prepared_statements()
select * from duckdb_variables()
select * from duckdb_connection_count()
select * from information_schema.tables
select * from information_schema.views
select * from pg_catalog.pg_views
select * from pg_views
select * from sqlite_master
select * from sqlite_schema
select * from duckdb_views
select * from temp.information_schema.tables
select * from memory.main."deal/1"
select * from "deal/1"
select * from main.deal
select * from memory.deal
select * from temp.deal
select * from birch.deal
select * from birch.main.deal
select * from "tenant=birch"
show databases
show schemas
show all tables
show variables
select current_setting('allowed_directories')
select current_setting('temp_directory')
select current_query()
select getenv('HOME')
select getenv('PATH')
select json_serialize_plan('select * from deal')
select * from json_execute_serialized_sql(json_serialize_sql('select 1'))
select json_serialize_sql('select 1')
select * from query('select * from read_text(''/etc/passwd'')')
select * from query_table('deal')
select * from query_table(['deal', 'deal/1'])
select * from pragma_show('deal')
select * from pragma_table_info('deal')
select * from pragma_storage_info('deal/1')
select * from pragma_database_size()
select * from pragma_metadata_info()
select * from sql_auto_complete('select * from ')
select * from which_secret('s3://x', 's3')
select * from test_all_types()
select * from seq_scan('deal/1')
select * from arrow_scan(1, 2, 3)
select * from enable_logging()
select * from enable_profiling()
select * from truncate_duckdb_logs()
select * from force_checkpoint()
select * from histogram_values(deal, value)
select pg_get_viewdef(1)
select write_log('x')
select lift('Deal', '{}', '{}')
select nextval('s')
select __internal_compress_string_ubigint('x')
select * from deal at (timestamp => now())
select * from birch_at(now())
select * from deal_at((select content from read_text('/etc/passwd')))
explain select * from deal
explain analyze select * from deal
explain analyze select count(*) from events
select * from deal where name = 'x' or error((select string_agg(id, ',') from deal))
select cast((select string_agg(name, ',') from deal) as int)

-- What never ends, or is too large.
with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t
with recursive t(s) as (select 'x' union all select s || s from t) select max(length(s)) from t
select count(*) from range(100000) a, range(100000) b where hash(a.range, b.range) = 1
select count(*) from range(10000000000) t(i) where i % 7 = 8
select sum(i) from range(1000000000000) t(i)
select length(repeat('x', 1000000000))
select length(repeat(repeat('x', 1000000), 10000))
select length(lpad('x', 1000000000, 'y'))
select length(rpad('x', 2000000000, 'y'))
select repeat('x', 100000000) from range(100)
select string_agg(repeat('x', 1000000), '') from range(10000)
select list(i) from range(1000000000) t(i)
select len(range(1000000000))
select list_sum(range(10000000000))
select [x for x in range(1000000000)]
select list_reduce(range(100000000), lambda a, b: a + b)
select distinct i from range(1000000000) t(i)
select i, count(*) from range(1000000000) t(i) group by i
select * from range(1000000000) a order by hash(range)
select * from range(100000000) a join range(100000000) b on a.range = b.range + 1 order by 1 desc limit 1
select max(a.x) from (select hash(i) x, i from range(100000000) t(i)) a join (select hash(i) x, i from range(100000000) t(i)) b on a.x = b.x
select regexp_matches(repeat('a', 1000000), '(a*)*b') from range(1000)
select regexp_matches('x', repeat('(a|b)', 100000))
select regexp_replace(repeat('a', 10000000), '(.)', '\1\1\1\1\1\1\1\1\1\1', 'g')
select levenshtein(repeat('a', 1000000), repeat('b', 1000000))
select damerau_levenshtein(repeat('a', 100000), repeat('b', 100000))
select jaccard(repeat('ab', 10000000), repeat('ba', 10000000))
select printf('%1000000000d', 1)
select format('{:1000000000}', 1)
select bitstring('1', 1000000000)
select factorial(100000)
select md5(repeat('x', 900000000))
select to_json(range(200000000))
select json_structure(to_json(range(50000000)))
select array_to_string(range(100000000), ',')
select string_split(repeat('a,', 100000000), ',')
select count(*) from (select unnest(range(1000000000)))
select count(*) over (order by i rows between unbounded preceding and unbounded following) from range(100000000) t(i)
select quantile_cont(i, [x / 1000.0 for x in range(1000)]) from range(100000000) t(i)
select histogram(i) from range(100000000) t(i)
select list_sort(range(100000000))
select * from range(100000000) a, range(100000000) b
select translate(repeat('a', 1000000000), 'a', 'bc')
select replace(repeat('a', 100000000), 'a', repeat('b', 1000))
select concat(repeat('a', 1000000000), repeat('b', 1000000000))
select strftime(now(), repeat('%Y', 10000000))
select generate_series(timestamp '1000-01-01', timestamp '9999-01-01', interval 1 second)
select count(*) from generate_series(timestamp '0001-01-01', timestamp '9999-01-01', interval 1 microsecond)
select approx_quantile(i, 0.5) from range(100000000000) t(i)
select pg_sleep(100)
select sleep_ms(100000)
{DEEP}
{WIDE}
{LONG}
{UNIONS}
{JOINS}
{CTES}
