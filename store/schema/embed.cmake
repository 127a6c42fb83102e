# Writes OUT, a C file with the migrations SQL (a list) as text and the SHA-256 of each, so that the
# program carries its schema with it. Run at build time:
#   cmake -DOUT=schema.c -DSQL=001_init.sql;002_more.sql -P embed.cmake
set(rows "")
set(text "/* Made by store/schema/embed.cmake from the files of store/schema. */\n")
string(APPEND text "#include \"store/migrate.h\"\n\n")
foreach(file ${SQL})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} sql HEX)
    file(SHA256 ${file} sha256)
    # Bytes rather than a literal: no limit on length, no escapes to get wrong.
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${sql}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
           "    \\1\n" bytes "${bytes}")
    string(APPEND text "static const char SQL_${name}[] = {\n${bytes}0};\n")
    string(APPEND rows "    {\"${name}\", SQL_${name}, \"${sha256}\"},\n")
endforeach()
string(APPEND text "\nstatic const bn_migration MIGRATIONS[] = {\n${rows}};\n\n"
       "const bn_migration *bn_migrations(int *count)\n{\n"
       "    *count = sizeof MIGRATIONS / sizeof MIGRATIONS[0];\n    return MIGRATIONS;\n}\n")
file(WRITE ${OUT} "${text}")
