# Writes OUT: the files of FILES (comma between) as byte arrays behind bn_site_assets().
string(REPLACE "," ";" files "${FILES}")
set(types_html "text/html; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(arrays "")
set(rows "")
set(number 0)
foreach(file ${files})
    get_filename_component(name ${file} NAME)
    get_filename_component(kind ${file} LAST_EXT)
    string(SUBSTRING ${kind} 1 -1 kind)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char FILE_${number}[] = {${bytes}};\n")
    string(APPEND rows "    {\"${name}\", \"${types_${kind}}\", FILE_${number}, sizeof FILE_${number}},\n")
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "/* Made by web/embed.cmake. */
#include \"reporters/site_assets.h\"

${arrays}
static const bn_site_asset ASSETS[] = {
${rows}};

const bn_site_asset *bn_site_assets(size_t *count)
{
    *count = sizeof ASSETS / sizeof ASSETS[0];
    return ASSETS;
}
")
