# Writes OUTPUT, a C++ source that defines FUNCTION() of HEADER: the content of FILES, paths below FOLDER.
#   cmake -DFOLDER=... -DFILES=a,b -DHEADER=folder/files.h -DFUNCTION=name -DOUTPUT=... -P EmbedFiles.cmake
set(entries "")
string(REPLACE "," ";" FILES "${FILES}")
foreach(file ${FILES})
  file(READ "${FOLDER}/${file}" bytes HEX)
  string(LENGTH "${bytes}" length)
  math(EXPR length "${length} / 2")
  string(REGEX REPLACE "(..)" "\\\\x\\1" text "${bytes}")
  string(APPEND entries "    {\"${file}\", {\"${text}\", ${length}}},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"\n
namespace quipu {\n
std::span<const EmbeddedFile> ${FUNCTION}() {
  static constexpr EmbeddedFile kFiles[] = {
${entries}  };
  return kFiles;
}\n
}  // namespace quipu\n")
